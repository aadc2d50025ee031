import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectTcp } from "node:net";

/** What came back, in whichever form the protocol puts its outcome. */
export interface RawAnswer {
  readonly status: number | undefined;
  readonly body: Buffer;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  /** RST_STREAM's error code, when the stream was reset. */
  readonly reset: number;
}

export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  readonly type?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Buffer | string;
}

/** One request over an HTTP/2 connection of its own, with whatever bytes for a body. */
export async function http2Request(url: string, request: RawRequest): Promise<RawAnswer> {
  const session = connectHttp2(url);
  session.on("error", () => {}); // a refused connection shows as a stream that ends
  const answer = await requestOn(session, request);
  session.destroy();
  return answer;
}

/** One request over a connection that goes on. */
export async function requestOn(session: ClientHttp2Session, request: RawRequest): Promise<RawAnswer> {
  const { method = "POST", path, type, headers = {}, body } = request;
  const stream = session.request({ ":method": method, ":path": path, ...(type && { "content-type": type }), ...headers });
  stream.on("error", () => {}); // so does a reset one
  let answered: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  const chunks: Buffer[] = [];
  stream.on("response", (received) => {
    answered = received;
  });
  stream.on("trailers", (received) => {
    trailers = received;
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  // A whole answer may come before the whole request is sent, and Node's client then keeps the stream open.
  const ended = new Promise((resolve) => stream.once("end", resolve).once("close", resolve));
  stream.end(body);
  await ended;
  const status = answered[constants.HTTP2_HEADER_STATUS];
  return {
    status: status === undefined ? undefined : Number(status),
    body: Buffer.concat(chunks),
    headers: answered,
    trailers,
    reset: stream.rstCode ?? 0,
  };
}

/** Sends bytes over TCP and gives everything that came back until the server closed. */
export async function tcpExchange(port: number, bytes: Buffer | string): Promise<string> {
  const socket = connectTcp({ port, host: "127.0.0.1" });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", () => {}); // the server may reset what it does not want to read
  socket.end(bytes);
  await new Promise((resolve) => socket.once("close", resolve)); // not events.once, which an error would reject
  return Buffer.concat(chunks).toString("latin1");
}

/** A message with the five-byte prefix of gRPC, gRPC-Web and Connect streams. */
export function envelope(message: Buffer | string, options: { flags?: number; length?: number } = {}): Buffer {
  const bytes = Buffer.from(message);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(options.flags ?? 0, 0);
  prefix.writeUInt32BE(options.length ?? bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** The outcome as one word: a Connect code, `grpc N`, `http N`, `reset N` or `ok`. */
export function outcomeOf({ status, body, headers, trailers, reset }: RawAnswer): string {
  const grpcStatus = trailers["grpc-status"] ?? headers["grpc-status"] ?? webTrailer(body);
  if (grpcStatus !== undefined) return grpcStatus === "0" ? "ok" : `grpc ${grpcStatus}`;
  if (status === undefined) return `reset ${reset}`;
  const code = /"code":"(\w+)"/.exec(body.toString("latin1"))?.[1];
  if (code !== undefined) return code;
  return status === 200 ? "ok" : `http ${status}`;
}

/** gRPC-Web puts the trailers into the body. */
function webTrailer(body: Buffer): string | undefined {
  return /grpc-status: ?(\d+)/i.exec(body.toString("latin1"))?.[1];
}
