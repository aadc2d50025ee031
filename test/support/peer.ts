import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream, type Settings } from "node:http2";
import { createServer as createTcpServer, type Socket } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { listen } from "./process.ts";
import { Wire } from "./wire-service.ts";

/** A server that is not ours. It runs until the end of the test file. */
export interface Peer {
  readonly url: string;
  readonly server: Http2Server;
  /** Every connection that was made, and every request that came, in order. */
  readonly sessions: readonly ServerHttp2Session[];
  readonly streams: readonly ServerHttp2Stream[];
}

/** A server of `test.Wire` by connect-node. */
export function startPeer(implementation: Partial<ServiceImpl<typeof Wire>> = {}, requestPathPrefix = ""): Promise<Peer> {
  const adapter = connectNodeAdapter({ routes: (router) => router.service(Wire, implementation), requestPathPrefix });
  return run(createServer(adapter));
}

/** A server that answers each stream as it is told; the first has the number 0. */
export function startStreams(
  onStream: (stream: ServerHttp2Stream, number: number) => void,
  settings: Settings = {},
): Promise<Peer> {
  const server = createServer({ settings });
  let count = 0;
  server.on("stream", (stream) => {
    stream.on("error", () => {}); // a reset shows as its code
    onStream(stream, count++);
  });
  return run(server);
}

async function run(server: Http2Server): Promise<Peer> {
  const sessions: ServerHttp2Session[] = [];
  const streams: ServerHttp2Stream[] = [];
  server.on("session", (session) => sessions.push(session));
  server.on("stream", (stream) => streams.push(stream));
  return { url: `http://${await listen(server)}`, server, sessions, streams };
}

/** A gRPC answer of one message after another, and status OK. */
export function answer(stream: ServerHttp2Stream, ...values: readonly string[]): void {
  begin(stream);
  for (const value of values) stream.write(stringMessage(value));
  stream.end();
}

/** The head of a gRPC answer; status OK follows when the stream is ended. */
export function begin(stream: ServerHttp2Stream): void {
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
}

/** A `StringValue` in its envelope. @param value at most 127 bytes. */
export function stringMessage(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of(0, 0, 0, 0, bytes.length + 2, 0x0a, bytes.length), bytes]);
}

/** The `StringValue`s of a request body. */
export function stringValues(body: Buffer): string[] {
  const values: string[] = [];
  for (let at = 0; at < body.length; at += 5 + body.readUInt32BE(at + 1)) {
    values.push(body.toString("utf8", at + 7, at + 5 + body.readUInt32BE(at + 1)));
  }
  return values;
}

/** A frame of HTTP/2 (RFC 9113, section 4.1). */
export function frame(
  type: number,
  { flags = 0, stream = 0 }: { flags?: number; stream?: number },
  payload: Buffer = Buffer.alloc(0),
) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7 } as const;
export const endStream = 1;
export const endHeaders = 4;

/** Header fields without compression (RFC 7541, section 6.2.2). */
export function fields(pairs: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
  return Buffer.concat(Object.entries(pairs).flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

/** A server of HTTP/2 that answers a connection's first request with these frames in one write, and never anything else. */
export async function startFrames(frames: readonly Buffer[]): Promise<string> {
  const server = createTcpServer((socket: Socket) => {
    socket.on("error", () => {}); // the client may break it
    socket.write(frame(frameTypes.settings, {}));
    let bytes = Buffer.alloc(0);
    let answered = false;
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (answered || !hasHeaders(bytes)) return;
      answered = true;
      socket.write(Buffer.concat(frames));
    });
  });
  return `http://${await listen(server)}`;
}

const prefaceBytes = 24;

function hasHeaders(bytes: Buffer): boolean {
  for (let at = prefaceBytes; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes.readUInt8(at + 3) === frameTypes.headers) return true;
  }
  return false;
}
