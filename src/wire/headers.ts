import type { Fields, HeaderList } from "./exchange.ts";

/** No field at all. */
export const noFields: Fields = { get: () => undefined, list: () => [] };

/** Fields of a list whose names are in lower case. */
export function fieldsOf(list: HeaderList): Fields {
  return {
    list: () => list,
    get(name) {
      let found: string | undefined;
      for (let index = 0; index < list.length; index += 2) {
        if (list[index] === name) found = found === undefined ? list[index + 1] : found + separatorOf(name) + list[index + 1];
      }
      return found;
    },
  };
}

/** RFC 9113, section 8.2.3: a cookie may have been cut. */
function separatorOf(name: string): string {
  return name === "cookie" ? "; " : ", ";
}

/** The web's `Headers`, for user code that asks for them. Fields that the Fetch standard does not allow are left out. */
export function toHeaders(list: HeaderList): Headers {
  const headers = new Headers();
  for (let index = 0; index < list.length; index += 2) {
    try {
      headers.append(list[index] ?? "", list[index + 1] ?? "");
    } catch {
      // Not a token, or no Latin-1: HTTP/2 carries it, Headers cannot.
    }
  }
  return headers;
}

/** Fields that belong to the protocols and to HTTP; a handler or caller cannot set them. */
const reserved = new Set([
  "accept-encoding",
  "connect-accept-encoding",
  "connect-content-encoding",
  "connect-protocol-version",
  "connect-timeout-ms",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-status-details-bin",
  "grpc-timeout",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Adds what user code set, its names prefixed; reserved fields are left out. */
export function appendUserFields(list: string[], headers: Headers | undefined, prefix = ""): void {
  headers?.forEach((value, name) => {
    if (!reserved.has(name)) list.push(prefix + name, value);
  });
}
