import type { ServerExchange } from "../src/wire/index.ts";
import {
  answerOn,
  block,
  codeOf,
  connectPeer,
  data,
  defaultWindow,
  flag,
  frame,
  get,
  headers,
  indexedField,
  maxWindow,
  type Peer,
  ping,
  pingPong,
  post,
  requestFields,
  reset,
  type Setting,
  setting,
  settings,
  windowUpdate,
} from "./support/frames.ts";
import { heldBytes } from "./support/heap.ts";
import { expectHarmless, type Http2Server, sink, startHttp2 } from "./support/http2-server.ts";
import { standstill } from "./support/wire.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

const timeoutMs = 15_000;

/** What a flood sends, unless it is stopped: far more than the operating system's buffers take. */
const floodBytes = 32 * mebibyte;
/** What one connection may hold of it. */
const maxHeldBytes = 8 * mebibyte;

/** Another connection's round trips for which a peer that takes nothing waits: by then the server has had all its turns. */
const patience = 500;

/** A chunk of a flood: so many frames that it is worth a write. */
const many = (bytes: Buffer) => Buffer.concat(Array.from({ length: Math.ceil((64 * kibibyte) / bytes.length) }, () => bytes));

/**
 * Sends a chunk over and over: until it has been taken often enough, until the server has ended the connection, or until the server
 * reads no more. Then tells how much more is held than before.
 */
async function flood(server: Http2Server, peer: Peer, chunk: Buffer): Promise<number> {
  const witness = await connectPeer(server.port);
  const before = heldBytes();
  for (let sent = 0; sent < floodBytes && !peer.socket.destroyed; sent += chunk.length) {
    if (peer.socket.write(chunk)) continue;
    let taken = false;
    const take = () => {
      taken = true;
    };
    peer.socket.once("drain", take).once("close", take);
    for (let beat = 0; beat < patience && !taken; beat++) await pingPong(witness);
    peer.socket.off("drain", take).off("close", take);
    if (!taken) break;
  }
  await pingPong(witness);
  const held = heldBytes() - before;
  witness.socket.destroy();
  return held;
}

/** A peer that reads nothing any more. */
async function connectDeaf(server: Http2Server, ...own: Setting[]): Promise<Peer> {
  const peer = await connectPeer(server.port, ...own);
  peer.socket.pause();
  return peer;
}

async function expectCalmAsked(peer: Peer): Promise<void> {
  expect(codeOf(await peer.receive("GOAWAY"))).toBe("ENHANCE_YOUR_CALM");
  await peer.closed;
}

const streams = (count: number) => Array.from({ length: count }, (_, index) => 2 * index + 1);

describe("resets", () => {
  const burst = 50;
  const limits = { streamResetBurst: burst, streamResetsPerSecond: 1 };

  test.each<[how: string, request: (stream: number) => Buffer]>([
    ["of the peer (CVE-2023-44487)", (stream) => Buffer.concat([get(stream, "/hold"), reset(stream, "CANCEL")])],
    [
      "that WINDOW_UPDATE of 0 provokes (CVE-2025-8671)",
      (stream) => Buffer.concat([get(stream, "/hold"), windowUpdate(stream, 0)]),
    ],
    ["that a window overflow provokes", (stream) => Buffer.concat([get(stream, "/hold"), windowUpdate(stream, maxWindow)])],
    [
      "that too much DATA provokes",
      (stream) => Buffer.concat([post(stream, "/hold", ["content-length", "1"]), data(stream, "ab")]),
    ],
  ])(
    "%s are taken in a burst, and not beyond it",
    async (_how, request) => {
      const server = await startHttp2({ limits });
      const patient = await connectPeer(server.port);
      patient.send(...streams(burst / 2).map(request));
      await pingPong(patient);
      const rapid = await connectPeer(server.port);
      rapid.send(...streams(2 * burst).map(request));
      await expectCalmAsked(rapid);
      expect(server.seen.length).toBeLessThanOrEqual(burst / 2 + burst + 2);
      patient.send(get(1_001));
      expect((await answerOn(patient, 1_001)).toString()).toBe("got 0");
      patient.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});

describe("a header block that goes on and on with CONTINUATION", () => {
  const begun = block(...requestFields());
  /** The head of a value of 64 MiB. */
  const endless = Buffer.from([0, 1, 0x61, 0x7f, 0x80, 0x80, 0x80, 0x20]);

  test.each<[what: string, begun: Buffer, more: Buffer]>([
    ["fields (CVE-2024-27316)", begun, block(["a", "b".repeat(8 * kibibyte)])],
    ["one field that does not end", Buffer.concat([begun, endless]), Buffer.alloc(8 * kibibyte, "a")],
    ["nothing", begun, Buffer.alloc(0)],
  ])(
    "of %s ends the connection",
    async (_what, first, more) => {
      const server = await startHttp2();
      const peer = await connectPeer(server.port);
      peer.send(frame("HEADERS", { stream: 1, payload: first }));
      const held = await flood(server, peer, many(frame("CONTINUATION", { stream: 1, payload: more })));
      await peer.closed;
      expect(held).toBeLessThan(maxHeldBytes);
      expect(server.seen).toEqual([]);
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "is not needed for a bomb: a block that repeats one entry of the dynamic table is refused",
    async () => {
      const server = await startHttp2();
      const peer = await connectPeer(server.port);
      const before = heldBytes();
      const entry = indexedField(["a", "b".repeat(3 * kibibyte)]);
      const bomb = Buffer.concat([block(...requestFields()), entry, Buffer.alloc(12 * kibibyte, 0xbe)]); // 36 MiB
      for (const stream of streams(10)) {
        if (peer.socket.destroyed) break;
        peer.send(headers(stream, bomb, flag.endStream));
        await Promise.race([peer.receiveAny((got) => got.stream === stream), peer.closed]);
      }
      expect(heldBytes() - before).toBeLessThan(maxHeldBytes);
      expect(server.seen).toEqual([]);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});

describe("a flood ends, or is held back, with less than 8 MiB of it held", () => {
  test.each<[what: string, frame: Buffer]>([
    ["PING (CVE-2019-9512)", ping("12345678")],
    ["SETTINGS (CVE-2019-9515)", settings()],
    ["SETTINGS that change the window", settings([setting.initialWindowSize, 1])],
  ])(
    "of %s, from a peer that reads no answers",
    async (_what, each) => {
      const server = await startHttp2();
      const peer = await connectDeaf(server);
      expect(await flood(server, peer, many(each))).toBeLessThan(maxHeldBytes);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test.each([["/hold"], ["/paused"]])(
    "of empty DATA for %s (CVE-2019-9518)",
    async (path) => {
      const server = await startHttp2();
      const peer = await connectPeer(server.port);
      peer.send(post(1, path));
      expect(await flood(server, peer, many(data(1, "")))).toBeLessThan(maxHeldBytes);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});

describe("answers that are not read are not written", () => {
  const endlessBytes = 64 * mebibyte;

  /** Writes as much as there is room for; `written` counts it. */
  async function startEndless() {
    const chunk = Buffer.alloc(16 * kibibyte);
    let written = 0;
    const pour = (exchange: ServerExchange) => {
      while (written < endlessBytes) {
        written += chunk.length;
        if (!exchange.write(chunk)) return;
      }
    };
    const server = await startHttp2(
      {},
      {
        "/endless": (exchange) => {
          exchange.accept(sink({ drained: () => pour(exchange) }));
          exchange.respond(200, [], false);
          pour(exchange);
        },
      },
    );
    return { server, written: () => written };
  }

  test.each<[why: string, own: Setting[], window: number, maxWritten: number]>([
    ["a window of 0 (CVE-2019-9517)", [[setting.initialWindowSize, 0]], 1, endlessBytes / 4],
    // all that the operating system buffers on both sides is in it
    [
      "no window that matters and a socket that is not read",
      [[setting.initialWindowSize, maxWindow]],
      maxWindow - defaultWindow,
      endlessBytes / 2,
    ],
  ])(
    "by %s",
    async (_why, own, window, maxWritten) => {
      const { server, written } = await startEndless();
      const witness = await connectPeer(server.port);
      const peer = await connectDeaf(server, ...own);
      peer.send(windowUpdate(0, window), ...streams(100).map((stream) => get(stream, "/endless")));
      const held = await standstill(written, () => pingPong(witness));
      expect(held).toBeGreaterThan(0);
      expect(held).toBeLessThan(maxWritten);
      expect(server.listener.inFlight).toBe(100);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});
