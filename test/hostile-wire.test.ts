import { once } from "node:events";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createTransport } from "../src/wire/index.ts";
import { toldBy } from "./support/bodies.ts";
import { type Kind, Kinds, pathOf } from "./support/kinds.ts";
import { envelope, requestOn } from "./support/raw.ts";
import { connectBare, resetStream, roundTrip, standstill, startKinds, type WireServer } from "./support/wire.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

const message = (value: string) => Buffer.from(toBinary(StringValueSchema, create(StringValueSchema, { value })));
const good = envelope(message("hello"));

/** Answers with what it got. */
const echo = {
  unary: ({ value }: { value: string }) => ({ value }),
  async *server({ value }: { value: string }) {
    yield { value };
  },
  async client(given: AsyncIterable<{ value: string }>) {
    let joined = "";
    for await (const { value } of given) joined += value;
    return { value: joined };
  },
  async *bidi(given: AsyncIterable<{ value: string }>) {
    for await (const { value } of given) yield { value };
  },
};

/** Each code as gRPC's number and as Connect's name. */
const codes = {
  invalid: ["3", "invalid_argument"],
  exhausted: ["8", "resource_exhausted"],
  unimplemented: ["12", "unimplemented"],
  internal: ["13", "internal"],
} as const;

interface Row {
  readonly body: Buffer;
  readonly code: keyof typeof codes;
  /** The compression that the headers name. */
  readonly encoding?: string;
}

const limits = { maxMessageBytes: 64 * kibibyte };
const bomb = Buffer.alloc(8 * mebibyte);

/** What is wrong whatever the kind of call. */
const malformed: [what: string, row: Row][] = [
  ["an unknown flag", { body: envelope(message("x"), { flags: 0x40 }), code: "invalid" }],
  ["the flag of gRPC-Web's trailers", { body: envelope("grpc-status: 0\r\n", { flags: 0x80 }), code: "invalid" }],
  ["the flag of the end of a Connect stream", { body: envelope("{}", { flags: 2 }), code: "invalid" }],
  ["every flag", { body: envelope(message("x"), { flags: 0xff }), code: "invalid" }],
  ["an unknown flag after a good message", { body: Buffer.concat([good, envelope("", { flags: 4 })]), code: "invalid" }],
  ["a length of 4 GiB", { body: envelope("", { length: 0xffff_ffff }), code: "exhausted" }],
  ["a length one over the limit", { body: envelope("", { length: 64 * kibibyte + 1 }), code: "exhausted" }],
  ["a message over the limit", { body: envelope(Buffer.alloc(65 * kibibyte)), code: "exhausted" }],
  ["an end in the middle of a prefix", { body: good.subarray(0, 4), code: "invalid" }],
  ["an end after a prefix", { body: good.subarray(0, 5), code: "invalid" }],
  ["an end in the middle of a message", { body: good.subarray(0, 8), code: "invalid" }],
  ["an end after a good message and a byte", { body: Buffer.concat([good, Buffer.from([0])]), code: "invalid" }],
  ["a message that does not decode", { body: envelope(Buffer.from([0x0a, 0xff])), code: "invalid" }],
  ["bad UTF-8", { body: envelope(Buffer.from([0x0a, 2, 0xc3, 0x28])), code: "invalid" }],
  ["a compressed message that no header explains", { body: envelope(gzipSync("x"), { flags: 1 }), code: "internal" }],
  ["an unknown compression", { body: good, code: "unimplemented", encoding: "zstd" }],
  ["gzip that is none", { body: envelope("no", { flags: 1 }), code: "invalid", encoding: "gzip" }],
  ["gzip cut short", { body: envelope(gzipSync("hello").subarray(0, 14), { flags: 1 }), code: "invalid", encoding: "gzip" }],
  ["brotli that is none", { body: envelope("no", { flags: 1 }), code: "invalid", encoding: "br" }],
  ["8 MiB in a small gzip", { body: envelope(gzipSync(bomb), { flags: 1 }), code: "exhausted", encoding: "gzip" }],
  ["8 MiB in a small brotli", { body: envelope(brotliCompressSync(bomb), { flags: 1 }), code: "exhausted", encoding: "br" }],
];

/** What is wrong where the call takes one message. */
const notOne: typeof malformed = [
  ["no message", { body: Buffer.alloc(0), code: "unimplemented" }],
  ["two messages", { body: Buffer.concat([good, good]), code: "unimplemented" }],
];

const notBase64: typeof malformed = [
  ["characters that are none of base64", { body: Buffer.from("AAAA!AAA"), code: "invalid" }],
  ["base64 cut short", { body: Buffer.from(good.toString("base64").slice(0, -1)), code: "invalid" }],
  ["base64 with padding at its start", { body: Buffer.from("====AAAA"), code: "invalid" }],
];

const kinds: Kind[] = ["unary", "server", "client", "bidi"];
const types = ["application/grpc", "application/grpc-web", "application/grpc-web-text", "application/connect+proto"];
const wires = types.flatMap((type) => kinds.map((kind): [type: string, kind: Kind] => [type, kind]));

describe.each(wires.filter(([type, kind]) => !type.includes("connect") || kind !== "unary"))("%s, %s", (type, kind) => {
  let server: WireServer;
  let session: ClientHttp2Session;

  beforeAll(async () => {
    server = await startKinds(echo, limits);
    ({ session } = await connectBare(server));
  });

  const text = type.endsWith("text");
  const encodingHeader = type.includes("connect") ? "connect-content-encoding" : "grpc-encoding";

  async function outcomeOf(body: Buffer, encoding?: string): Promise<string> {
    const headers = encoding === undefined ? {} : { [encodingHeader]: encoding };
    const answer = await requestOn(session, { path: pathOf(kind), type, headers, body });
    const status = answer.trailers["grpc-status"] ?? answer.headers["grpc-status"];
    return answer.reset === 0 ? toldBy(type, answer.body, status?.toString()) : `reset ${answer.reset}`;
  }

  const asText = (body: Buffer) => (text ? Buffer.from(body.toString("base64")) : body);
  const single = kind === "unary" || kind === "server";
  const rows = [
    ...[...malformed, ...(single ? notOne : [])].map(([what, row]) => [what, { ...row, body: asText(row.body) }] as const),
    ...(text ? notBase64 : []),
  ];

  test.each(rows)("%s is an error of the protocol's own, and the connection goes on", async (_what, row) => {
    const ended = server.ended();
    expect(codes[row.code]).toContain(await outcomeOf(row.body, row.encoding));
    expect(codes[row.code]).toContain(String((await ended).error?.code));
    expect(await outcomeOf(asText(good))).toBe("0");
    expect(server.listener.inFlight).toBe(0);
  });
});

/** The bytes of so many messages, one at a time. */
const large = "x".repeat(16 * kibibyte);
const largeBytes = envelope(message(large)).length;
const total = 2_000; // 32 MiB

describe("what one side does not read", () => {
  /** A server whose answer has no end but `total`, and how many messages it has been asked for. */
  async function startEndless() {
    let pulled = 0;
    const server = await startKinds({
      async *server() {
        for (; pulled < total; pulled++) yield { value: large };
      },
    });
    return { server, pulled: () => pulled };
  }

  test("of an answer over HTTP/2 holds less than 512 KiB, and all of it comes when it is read", async () => {
    const { server, pulled } = await startEndless();
    const { session } = await connectBare(server);
    const stream = open(session, "server");
    stream.end(good);
    await once(stream, "response");
    const held = await standstill(pulled, () => roundTrip(session));
    expect(held).toBeGreaterThan(0);
    expect(held * largeBytes).toBeLessThan(512 * kibibyte);
    let received = 0;
    for await (const chunk of stream) received += chunk.length;
    expect(received).toBe(total * largeBytes);
    expect(server.listener.inFlight).toBe(0);
  });

  test("of an answer over HTTP/1.1 holds what the operating system takes and no more", async () => {
    const { server, pulled } = await startEndless();
    const socket = connectTcp({ port: server.port, host: "127.0.0.1" });
    socket.pause();
    socket.write(http1Head(pathOf("server"), `content-length: ${good.length}`));
    socket.write(good);
    const { session } = await connectBare(server);
    await once(socket, "readable");
    const held = await standstill(pulled, () => roundTrip(session));
    expect(held).toBeLessThan(total * 0.75);
    socket.resume();
    let received = 0;
    socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    await server.listener.idle();
    await standstill(
      () => received,
      () => roundTrip(session),
    );
    expect(received).toBeGreaterThan(total * largeBytes);
    socket.destroy();
  });

  test("of a client's flood over HTTP/2 is less than 2 MiB, and all of it comes when it is read", async () => {
    const { server, read, reading } = await startPatient();
    const { session } = await connectBare(server);
    const stream = open(session, "bidi");
    stream.resume();
    const flooding = flood(stream);
    const held = await standstill(flooding.sent, () => roundTrip(session));
    expect(held * largeBytes).toBeGreaterThan(256 * kibibyte);
    expect(held * largeBytes).toBeLessThan(2 * mebibyte);
    reading();
    await flooding.done;
    stream.end();
    await once(stream, "close");
    expect(read()).toBe(total);
    expect(server.listener.inFlight).toBe(0);
  });

  test("of a client's flood over HTTP/1.1 is what the operating system takes and no more", async () => {
    const { server, read, reading } = await startPatient();
    const socket = connectTcp({ port: server.port, host: "127.0.0.1" });
    socket.write(http1Head(pathOf("client"), `content-length: ${total * largeBytes}`));
    const { session } = await connectBare(server);
    const flooding = flood(socket);
    const held = await standstill(flooding.sent, () => roundTrip(session));
    expect(held).toBeLessThan(total * 0.75);
    reading();
    const [answer] = await once(socket, "data");
    expect(String(answer)).toMatch(/^HTTP\/1\.1 200/);
    expect(read()).toBe(total);
    socket.destroy();
  });

  /** A server that reads nothing until it is told to, and counts. */
  async function startPatient() {
    let read = 0;
    let reading = () => {};
    const told = new Promise<void>((resolve) => {
      reading = resolve;
    });
    async function count(given: AsyncIterable<{ value: string }>) {
      await told;
      for await (const { value } of given) if (value === large) read++;
      return { value: "" };
    }
    const server = await startKinds({
      client: count,
      async *bidi(given) {
        yield await count(given);
      },
    });
    return { server, read: () => read, reading: () => reading() };
  }
});

function open(session: ClientHttp2Session, kind: Kind): ClientHttp2Stream {
  const stream = session.request(
    { ":method": "POST", ":path": pathOf(kind), "content-type": "application/grpc", te: "trailers" },
    { endStream: false },
  );
  stream.on("error", () => {}); // some are torn down
  return stream;
}

/** Connect's streaming over HTTP/1.1. */
function http1Head(path: string, ...lines: string[]): string {
  const head = [`POST ${path} HTTP/1.1`, "host: x", "content-type: application/grpc-web+proto", ...lines];
  return `${head.join("\r\n")}\r\n\r\n`;
}

/** Sends `total` large messages as fast as they are taken. */
function flood(target: ClientHttp2Stream | Socket) {
  let sent = 0;
  const next = envelope(message(large));
  const pour = async () => {
    for (; sent < total; sent++) if (!target.write(next)) await once(target, "drain");
  };
  return { sent: () => sent, done: pour() };
}

/** A server whose handlers wait for their caller to leave. */
async function startWaiting() {
  let left: (reason: unknown) => void = () => {};
  const aborted = new Promise<unknown>((resolve) => {
    left = resolve;
  });
  let started = () => {};
  const running = new Promise<void>((resolve) => {
    started = resolve;
  });
  async function wait(signal: AbortSignal) {
    started();
    signal.addEventListener("abort", () => left(signal.reason));
    await aborted;
    return { value: "" };
  }
  /** Ends with more than the caller's window of 64 KiB takes, without having to wait for room. */
  async function* tail() {
    for (const count of [2, 3]) {
      yield* Array.from({ length: count }, () => ({ value: large }));
      await turn();
    }
  }
  async function* answers(signal: AbortSignal) {
    started();
    signal.addEventListener("abort", () => left(signal.reason));
    for (;;) yield { value: large };
  }
  const server = await startKinds({
    unary: (_request, { signal }) => wait(signal),
    client: (_given, { signal }) => wait(signal),
    async *server({ value }, { signal }) {
      if (value === "endless") yield* answers(signal);
      yield { value: "first" };
      yield await wait(signal);
    },
    async *bidi(given, { signal }) {
      yield { value: "first" };
      for await (const { value } of given) {
        if (value === "endless") yield* answers(signal);
        if (value === "large") return yield* tail();
        break;
      }
      yield await wait(signal);
    },
  });
  return { server, aborted, running };
}

type Phase = {
  readonly kind: Kind;
  readonly body: Buffer;
  readonly half?: boolean;
  readonly runs: boolean;
  readonly answers?: boolean;
};

const endless = envelope(message("endless"));

describe.each<[when: string, phase: Phase]>([
  ["after its headers", { kind: "unary", body: Buffer.alloc(0), runs: false }],
  ["in the middle of a prefix", { kind: "server", body: good.subarray(0, 3), runs: false }],
  ["in the middle of its message", { kind: "unary", body: good.subarray(0, 9), runs: false }],
  ["after its message, before the request ends", { kind: "unary", body: good, runs: false }],
  ["while its handler works", { kind: "unary", body: good, half: true, runs: true }],
  ["after a part of the answer", { kind: "server", body: good, half: true, runs: true, answers: true }],
  ["while the answer waits for it to read", { kind: "server", body: endless, half: true, runs: true, answers: true }],
  ["before its first message", { kind: "client", body: Buffer.alloc(0), runs: true }],
  ["between its messages", { kind: "client", body: good, runs: true }],
  ["in the middle of one of its messages", { kind: "bidi", body: Buffer.concat([good, good.subarray(0, 8)]), runs: true }],
  ["while its messages wait for the handler", { kind: "client", body: Buffer.alloc(20 * largeBytes), runs: true }],
  ["in a conversation of which it reads nothing", { kind: "bidi", body: endless, runs: true, answers: true }],
  ["in a conversation of which it has ended its side", { kind: "bidi", body: good, half: true, runs: true, answers: true }],
])("a peer that vanishes %s", (_when, { kind, body, half = false, runs, answers = false }) => {
  test.each<[how: string, vanish: (bare: { socket: Socket; session: ClientHttp2Session; stream: ClientHttp2Stream }) => void]>([
    ["by RST_STREAM", ({ stream }) => resetStream(stream, 8)],
    ["by RST_STREAM without an error", ({ stream }) => resetStream(stream, 0)],
    ["by the end of its connection", ({ session }) => session.destroy()],
    ["by a TCP reset", ({ socket }) => socket.resetAndDestroy()],
  ])("%s leaves nothing behind", async (_how, vanish) => {
    const { server, aborted, running } = await startWaiting();
    const { socket, session } = await connectBare(server);
    const ended = server.ended();
    const stream = open(session, kind);
    const answered = once(stream, "response").catch(() => {}); // not all of them are
    stream.write(body);
    if (half) stream.end();
    await roundTrip(session);
    await roundTrip(session);
    if (runs) await running;
    if (answers) await answered;
    expect(server.listener.inFlight).toBe(1);
    vanish({ socket, session, stream });
    expect((await ended).error?.code).toBe(Code.Canceled);
    if (runs) expect(await aborted).toMatchObject({ code: Code.Canceled });
    await server.listener.idle();
    expect(server.listener.inFlight).toBe(0);
    await stillServes(server);
  });
});

describe("a peer that vanishes before it has read the end of a conversation", () => {
  test.each<[how: string, half: boolean]>([
    ["and has not ended its own side", false],
    ["and ends its own side at that moment", true],
  ])("%s leaves nothing behind", async (_how, half) => {
    const { server } = await startWaiting();
    const { session } = await connectBare(server);
    const ended = server.ended();
    const stream = open(session, "bidi");
    stream.write(envelope(message("large")));
    expect((await ended).error).toBeUndefined();
    expect(server.listener.inFlight).toBe(1);
    if (half) stream.close(0);
    else resetStream(stream, 0);
    await server.listener.idle();
    await stillServes(server);
  });
});

async function stillServes(server: WireServer): Promise<void> {
  const transport = createTransport({ baseUrl: server.url });
  for await (const { value } of createClient(Kinds, transport).server({})) {
    expect(value).toBe("first");
    break;
  }
  transport.close();
}
