import { wireBounds } from "../../core/index.ts";
import type { Fields } from "../exchange.ts";
import { fieldsOf } from "../headers.ts";
import { errorCodes, StreamError } from "./frames.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";

/** A header block that remembers what was made of it, for when it comes again. */
export type HeadBlock = HeaderBlock<RequestHead | ResponseHead>;

/** A request's head. Equal heads that come again may be one object. */
export interface RequestHead {
  readonly kind: "request";
  readonly method: string;
  readonly path: string;
  readonly scheme: string;
  readonly authority: string;
  readonly fields: Fields;
  readonly size: { readonly pairs: number; readonly bytes: number };
  readonly contentLength: number | undefined;
  /** The client waits for a word before it sends the body (RFC 9110, section 10.1.1). */
  readonly expectsContinue: boolean;
}

/** A response's head. */
export interface ResponseHead {
  readonly kind: "response";
  readonly status: number;
  readonly fields: Fields;
  readonly contentLength: number | undefined;
}

/** Fields of HTTP/1.1's connections, which HTTP/2 does not have (RFC 9113, section 8.2.2). */
const connectionFields = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** A lower-case token (RFC 9110, section 5.6.2; RFC 9113, section 8.2.1). */
const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const knownNames = new Set<string>();
const notInValues = /[\0\r\n]|^[ \t]|[ \t]$/;

/** @throws StreamError for a malformed request (RFC 9113, section 8.1.1). */
export function readRequestHead(block: HeadBlock): RequestHead {
  if (block.parsed?.kind === "request") return block.parsed;
  const head = parseRequestHead(block);
  block.parsed = head;
  return head;
}

function parseRequestHead(block: HeadBlock): RequestHead {
  const [pseudo, list] = split(block.list, [":method", ":scheme", ":authority", ":path"]);
  const fields = fieldsOf(list);
  const [method, scheme, authority, path] = pseudo;
  if (method === undefined || scheme === undefined || path === undefined || path === "") {
    throw malformed("a request needs :method, :scheme and :path");
  }
  return {
    kind: "request",
    method,
    scheme,
    path,
    authority: authority ?? fields.get("host") ?? "",
    fields,
    size: { pairs: block.pairs, bytes: block.bytes - block.pairs * 32 },
    contentLength: readContentLength(fields),
    expectsContinue: fields.get("expect") === "100-continue",
  };
}

/** @throws StreamError for a malformed response. */
export function readResponseHead(block: HeadBlock): ResponseHead {
  if (block.parsed?.kind === "response") return block.parsed;
  const head = parseResponseHead(block);
  block.parsed = head;
  return head;
}

function parseResponseHead(block: HeadBlock): ResponseHead {
  const [[status = ""], list] = split(block.list, [":status"]);
  if (!/^[1-9]\d\d$/.test(status)) throw malformed("a response needs a :status");
  const fields = fieldsOf(list);
  return { kind: "response", status: Number(status), fields, contentLength: readContentLength(fields) };
}

/** @throws StreamError for malformed trailers. */
export function readTrailers(block: HeadBlock): Fields {
  return fieldsOf(split(block.list, [])[1]);
}

/** Separates the pseudo-header fields, which come first and once each, from the others, and checks both (section 8.2 and 8.3). */
function split(list: readonly string[], names: readonly string[]): [pseudo: (string | undefined)[], list: string[]] {
  const pseudo = names.map((): string | undefined => undefined);
  let at = 0;
  for (; at < list.length && list[at]?.startsWith(":"); at += 2) {
    const index = names.indexOf(list[at] ?? "");
    if (index < 0) throw malformed("a pseudo-header field that does not belong here");
    if (pseudo[index] !== undefined) throw malformed("a pseudo-header field that comes twice");
    pseudo[index] = list[at + 1] ?? "";
  }
  const rest = list.slice(at);
  for (let index = 0; index < rest.length; index += 2) checkField(rest[index] ?? "", rest[index + 1] ?? "");
  return [pseudo, rest];
}

function checkField(name: string, value: string): void {
  if (!knownNames.has(name)) {
    if (!fieldName.test(name)) throw malformed("a field whose name is no lower-case token");
    if (connectionFields.has(name)) throw malformed("a field of HTTP/1.1's connections");
    if (knownNames.size < wireBounds.maxKnownNames) knownNames.add(name);
  }
  if (name === "te" && value !== "trailers") throw malformed("a te field other than trailers");
  if (notInValues.test(value)) throw malformed("a field whose value has a character that none may have");
}

function readContentLength(fields: Fields): number | undefined {
  const value = fields.get("content-length");
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value)) throw malformed("a content-length that is no number");
  return Number(value);
}

export function malformed(message: string): StreamError {
  return new StreamError(errorCodes.protocol, message);
}
