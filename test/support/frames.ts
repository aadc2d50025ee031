import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";

/** HTTP/2 by hand (RFC 9113): frames as bytes, and a peer that sends whatever it is told to. */

const frameTypes = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION",
] as const;

export type FrameType = (typeof frameTypes)[number];

const errorCodes = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const;

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const maxWindow = 2 ** 31 - 1;
export const defaultWindow = 65_535;

/** A frame that came. */
export interface Frame {
  /** Undefined for a type that RFC 9113 does not know. */
  readonly type: FrameType | undefined;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export interface FrameOptions {
  readonly flags?: number;
  readonly stream?: number;
  readonly payload?: Buffer | string;
  /** The length that the head tells. Default: the payload's. */
  readonly length?: number;
}

/** Any frame, right or wrong; the type by name or by number. */
export function frame(type: FrameType | number, options: FrameOptions = {}): Buffer {
  const payload = Buffer.from(options.payload ?? "");
  const head = Buffer.alloc(9);
  head.writeUIntBE(options.length ?? payload.length, 0, 3);
  head.writeUInt8(typeof type === "number" ? type : frameTypes.indexOf(type), 3);
  head.writeUInt8(options.flags ?? 0, 4);
  head.writeUInt32BE(options.stream ?? 0, 5);
  return Buffer.concat([head, payload]);
}

export const uint32 = (...values: number[]) =>
  Buffer.concat(values.map((value) => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value])));

export const data = (stream: number, payload: Buffer | string, flags = 0) => frame("DATA", { stream, payload, flags });

/** A whole header block in one frame. */
export const headers = (stream: number, block: Buffer, flags = 0) =>
  frame("HEADERS", { stream, payload: block, flags: flag.endHeaders | flags });

export type Setting = readonly [id: number, value: number];

export const settings = (...pairs: Setting[]) =>
  frame("SETTINGS", {
    payload: Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id]), uint32(value)]))),
  });

export const ping = (payload: Buffer | string, flags = 0) => frame("PING", { payload, flags });
export const reset = (stream: number, code: ErrorCode) =>
  frame("RST_STREAM", { stream, payload: uint32(errorCodes.indexOf(code)) });
export const windowUpdate = (stream: number, increment: number) =>
  frame("WINDOW_UPDATE", { stream, payload: uint32(increment) });

/** Content between its pad length and as many zeros (RFC 9113, section 6.1). */
export const padded = (content: Buffer | string, padLength: number) =>
  Buffer.concat([Buffer.from([padLength]), Buffer.from(content), Buffer.alloc(padLength)]);

export type Field = readonly [name: string, value: string];

/** Fields as HPACK literals without indexing, with new names and no Huffman code (RFC 7541, section 6.2.2). */
export function block(...fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

/** One literal with incremental indexing, which the dynamic table keeps (RFC 7541, section 6.2.1). */
export function indexedField([name, value]: Field): Buffer {
  return Buffer.concat([Buffer.from([0x40]), literal(name), literal(value)]);
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

/** RFC 7541, section 5.1, with the bits above the prefix zero. */
function integer(value: number, prefixBits: number): Buffer {
  const max = 2 ** prefixBits - 1;
  if (value < max) return Buffer.from([value]);
  const bytes = [max];
  let rest = value - max;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

/** What a header block is made of: which entries it refers to, and its updates of the table's size. Values are skipped. */
export function representations(bytes: Buffer): { kind: "indexed" | "literal" | "sizeUpdate"; value: number }[] {
  const found: ReturnType<typeof representations> = [];
  let at = 0;
  const read = (prefixBits: number) => {
    const max = 2 ** prefixBits - 1;
    let value = (bytes[at++] ?? 0) & max;
    if (value < max) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const skipString = () => {
    const length = read(7);
    at += length;
  };
  while (at < bytes.length) {
    const first = bytes[at] ?? 0;
    if (first & 0x80) found.push({ kind: "indexed", value: read(7) });
    else if ((first & 0xe0) === 0x20) found.push({ kind: "sizeUpdate", value: read(5) });
    else {
      const value = read(first & 0x40 ? 6 : 4);
      found.push({ kind: "literal", value });
      if (value === 0) skipString();
      skipString();
    }
  }
  return found;
}

/** The fields of a request, some of them replaced or, with undefined, left out; others follow. */
export function requestFields(changes: Readonly<Record<string, string | undefined>> = {}, ...more: readonly Field[]): Field[] {
  const fields = { ":method": "GET", ":scheme": "http", ":authority": "x", ":path": "/", ...changes };
  return [...Object.entries(fields).flatMap(([name, value]): Field[] => (value === undefined ? [] : [[name, value]])), ...more];
}

/** A request without a body. */
export const get = (stream: number, path = "/") => headers(stream, block(...requestFields({ ":path": path })), flag.endStream);

/** A request whose body follows. */
export const post = (stream: number, path = "/", ...more: readonly Field[]) =>
  headers(stream, block(...requestFields({ ":method": "POST", ":path": path }, ...more)));

/** The error code of a GOAWAY or RST_STREAM. */
export function codeOf({ type, payload }: Frame): ErrorCode | undefined {
  return errorCodes[payload.readUInt32BE(type === "GOAWAY" ? 4 : 0)];
}

/** The last stream that a GOAWAY names. */
export const lastStreamOf = ({ payload }: Frame) => payload.readUInt32BE(0);

/** One end of a connection that knows frames and nothing of what they mean. */
export interface Peer {
  readonly socket: Socket;
  send(...bytes: Buffer[]): void;
  /** The oldest frame that was not given yet and is looked for. @throws when the connection ends without it. */
  receive(type: FrameType | undefined, stream?: number): Promise<Frame>;
  /** The oldest frame of the stream, or of the connection, that was not given yet. @throws likewise. */
  receiveAny(wanted: (frame: Frame) => boolean): Promise<Frame>;
  /** Frames that were not given yet. */
  readonly unread: readonly Frame[];
  /** Settles when the connection has ended. */
  readonly closed: Promise<void>;
}

const peers = new Set<Socket>();

afterEach(() => {
  for (const socket of peers) socket.destroy();
});

/** A connection on which nothing has been sent; it lasts as long as the test. */
export async function connectSilently(port: number): Promise<Peer> {
  const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  peers.add(socket);
  socket.on("error", () => {}); // a server that has refused what it was sent may reset
  const unread: Frame[] = [];
  const waiting = new Set<() => void>();
  const arrived = () => {
    for (const wake of waiting) wake();
    waiting.clear();
  };
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    rest = takeFrames(Buffer.concat([rest, chunk]), unread);
    arrived();
  });
  socket.once("close", () => {
    peers.delete(socket);
    arrived();
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const receiveAny = async (wanted: (frame: Frame) => boolean) => {
    for (;;) {
      const index = unread.findIndex(wanted);
      const found = index < 0 ? undefined : unread.splice(index, 1)[0];
      if (found !== undefined) return found;
      if (socket.closed) throw new Error(`the connection ended, with this unread: ${unread.map(describeFrame).join(", ")}`);
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  };
  const receive: Peer["receive"] = (type, stream) =>
    receiveAny((frame) => frame.type === type && (stream === undefined || frame.stream === stream));
  await once(socket, "connect");
  return { socket, unread, closed, receiveAny, receive, send: (...bytes) => socket.write(Buffer.concat(bytes)) };
}

/** A connection after its preface, with both sides' settings known and acknowledged. */
export async function connectPeer(port: number, ...own: Setting[]): Promise<Peer> {
  const peer = await connectSilently(port);
  peer.send(preface, settings(...own));
  await peer.receiveAny(({ type, flags }) => type === "SETTINGS" && flags === 0);
  await peer.receiveAny(({ type, flags }) => type === "SETTINGS" && flags === flag.ack);
  peer.send(frame("SETTINGS", { flags: flag.ack }));
  await pingPong(peer);
  return peer;
}

let pings = 0;

/** A round trip: what was sent before has been read. What the server sends then may come before its answer or after it. */
export async function pingPong(peer: Peer): Promise<void> {
  const payload = Buffer.alloc(8);
  payload.writeUInt32BE(++pings);
  peer.send(ping(payload));
  await peer.receiveAny(({ type, flags, payload: got }) => type === "PING" && flags === flag.ack && got.equals(payload));
}

/** The body of the answer on a stream, once it is whole. @throws when the stream is reset. */
export async function answerOn(peer: Peer, stream: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    const next = await peer.receiveAny(
      (frame) => frame.stream === stream && (frame.type === "DATA" || frame.type === "HEADERS" || frame.type === "RST_STREAM"),
    );
    if (next.type === "RST_STREAM") throw new Error(`reset with ${codeOf(next)}`);
    if (next.type === "DATA") chunks.push(next.payload);
    if (next.flags & flag.endStream) return Buffer.concat(chunks);
  }
}

/** A name for failures: `GOAWAY(PROTOCOL_ERROR) on 0`. */
export function describeFrame(frame: Frame): string {
  const code = frame.type === "GOAWAY" || frame.type === "RST_STREAM" ? `(${codeOf(frame)})` : "";
  return `${frame.type}${code} on ${frame.stream}`;
}

function takeFrames(bytes: Buffer, into: Frame[]): Buffer {
  let at = 0;
  while (bytes.length - at >= 9) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    into.push({
      type: frameTypes[bytes.readUInt8(at + 3)],
      flags: bytes.readUInt8(at + 4),
      stream: bytes.readUInt32BE(at + 5) & maxWindow,
      payload: bytes.subarray(at + 9, end),
    });
    at = end;
  }
  return bytes.subarray(at);
}
