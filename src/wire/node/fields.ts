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

/**
 * What node:http2 takes for a head: a flat list, which it sends as it is, where it takes one (22.23 and 24.10 on), else an object.
 *
 * @param pseudo the pseudo-header fields.
 */
export function headOf(pseudo: HeaderList, list: HeaderList): string[] | OutgoingHttpHeaders {
  return takesLists ? [...pseudo, ...list] : addFields(addFields({}, pseudo), list);
}

const takesLists = knowsLists(process.versions.node);

function knowsLists(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 24 || (major === 24 && minor >= 10) || (major === 22 && minor >= 23);
}
