import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import type { Fields, HeaderList } from "../exchange.ts";

/** Node's header object as fields. */
export class NodeFields implements Fields {
  readonly #headers: IncomingHttpHeaders;

  constructor(headers: IncomingHttpHeaders) {
    this.#headers = headers;
  }

  get(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === "object" ? value.join(", ") : value;
  }

  list(): HeaderList {
    const list: string[] = [];
    for (const [name, value] of Object.entries(this.#headers)) {
      if (name.startsWith(":") || value === undefined) continue;
      if (typeof value === "object") for (const each of value) list.push(name, each);
      else list.push(name, value);
    }
    return list;
  }
}

/** Adds a list to Node's header object. */
export function addFields(headers: OutgoingHttpHeaders, list: HeaderList): OutgoingHttpHeaders {
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index] ?? "";
    const value = list[index + 1] ?? "";
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else headers[name] = typeof before === "object" ? [...before, value] : [String(before), value];
  }
  return headers;
}
