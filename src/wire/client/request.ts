import type { Message } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { wireBounds } from "../../core/index.ts";
import { compressedFlag, type Envelope, joinEnvelopes, tooLong } from "../envelope.ts";
import type { ClientRequest, HeaderList } from "../exchange.ts";
import { appendUserFields } from "../headers.ts";
import type { ClientMethod } from "./method.ts";

/** The fields of a request: the protocol's, the deadline, and what the caller gives. */
export function requestFields(method: ClientMethod, given: HeadersInit | undefined, timeoutMs: number | undefined): string[] {
  const { protocol, headers } = method;
  const list = [...headers];
  if (timeoutMs !== undefined) list.push(protocol.headers.timeout, protocol.formatTimeout(timeoutMs));
  if (given === undefined) return list;
  const own = given instanceof Headers ? given : new Headers(given);
  if (own.has("user-agent")) list.splice(list.indexOf("user-agent"), 2);
  appendUserFields(list, own);
  return list;
}

/** The request of another attempt: it has less time left, and says how many retries there were (gRFC A6, "Exposed Retry Metadata"). */
export function requestAgain(
  { protocol }: ClientMethod,
  request: ClientRequest,
  { retries, leftMs }: { retries: number; leftMs: number },
): ClientRequest {
  const headers = [...request.headers];
  const timeout = headers.findIndex((name, index) => index % 2 === 0 && name === protocol.headers.timeout);
  if (timeout !== -1) headers[timeout + 1] = protocol.formatTimeout(Math.max(1, leftMs));
  if (retries > 0) headers.push("grpc-previous-rpc-attempts", String(retries));
  return { ...request, headers };
}

/** A message as it travels, compressed when it is long enough. @throws ConnectError when it cannot be written. */
export function encode(method: ClientMethod, message: Message): Envelope | Promise<Envelope> {
  const { compression, options } = method;
  const payload = method.input.encode(message);
  if (payload.length > wireBounds.maxEnvelopeBytes) throw tooLong(payload.length, wireBounds.maxEnvelopeBytes);
  if (compression === undefined || payload.length < options.compressMinBytes) return { flags: 0, payload };
  return compression.compress(payload).then((compressed) => ({ flags: compressedFlag, payload: compressed }));
}

/** A unary request: its head, and its body unless it travels in the query. */
export function unaryRequest(method: ClientMethod, fields: HeaderList, envelope: Envelope): [ClientRequest, Uint8Array?] {
  const { path, protocol, compression } = method;
  if (method.get) return [{ method: "GET", path: path + queryOf(method, envelope), headers: getFields(method, fields) }];
  if (protocol.enveloped) return [{ method: "POST", path, headers: fields }, joinEnvelopes([envelope])];
  const compressed = envelope.flags === compressedFlag && compression !== undefined;
  const headers = compressed ? [...fields, protocol.headers.encoding, compression.name] : fields;
  return [{ method: "POST", path, headers }, envelope.payload];
}

/** Parameters in the order that makes equal requests equal for caches (connectrpc.com/docs/protocol, "Unary-Get-Request"). */
function queryOf({ compression, options }: ClientMethod, { flags, payload }: Envelope): string {
  const compressed = flags === compressedFlag && compression !== undefined;
  const binary = compressed || options.codec === "proto";
  const text = binary ? base64Encode(payload, "url") : encodeURIComponent(Buffer.from(payload).toString());
  const parameters = ["connect=v1"];
  if (binary) parameters.push("base64=1");
  if (compressed) parameters.push(`compression=${compression.name}`);
  return `?${[...parameters, `encoding=${options.codec}`, `message=${text}`].join("&")}`;
}

/** Without a body there is nothing for these to describe. */
function getFields({ protocol }: ClientMethod, fields: HeaderList): HeaderList {
  const left = ["content-type", "connect-protocol-version", protocol.headers.encoding];
  return fields.filter((_, index) => !left.includes(fields[index - (index % 2)] ?? ""));
}
