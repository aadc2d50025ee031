import {
  answerOn,
  connectPeer,
  data,
  defaultWindow,
  type Frame,
  flag,
  get,
  maxWindow,
  type Peer,
  padded,
  pingPong,
  post,
  representations,
  setting,
  settings,
  windowUpdate,
} from "./support/frames.ts";
import { expectHarmless, type Http2Server, longAnswerBytes, startHttp2 } from "./support/http2-server.ts";

const timeoutMs = 5_000;

const maxFrameBytes = 16_384;

/** Counts what comes of a stream's DATA. */
async function receiveBytes(peer: Peer, stream: number, count: number): Promise<void> {
  let received = 0;
  while (received < count) received += (await peer.receive("DATA", stream)).payload.length;
  expect(received).toBe(count);
}

/** Two round trips: whatever the server may send has been sent. */
async function expectSilence(peer: Peer): Promise<void> {
  await pingPong(peer);
  await pingPong(peer);
  expect(peer.unread.filter(({ type }) => type === "DATA")).toEqual([]);
}

const isTrailer = ({ type, flags }: Frame) => type === "HEADERS" && (flags & flag.endStream) !== 0;

/** Entries of HPACK's static table: what is beyond is of the dynamic one. */
const staticEntries = 61;

/** The largest DATA payload of an answer that is read to its end. */
async function largestFrame(peer: Peer, stream: number): Promise<number> {
  let largest = 0;
  for (let received = 0; received < longAnswerBytes; ) {
    const { length } = (await peer.receive("DATA", stream)).payload;
    received += length;
    largest = Math.max(largest, length);
  }
  return largest;
}

const text = async (peer: Peer, stream: number) => (await answerOn(peer, stream)).toString();

let server: Http2Server;

beforeEach(async () => {
  server = await startHttp2(
    { limits: { streamWindowBytes: defaultWindow, connectionWindowBytes: defaultWindow } },
    {
      "/refuse": (exchange) => exchange.reset("refused"),
      "/large-head": (exchange) => exchange.respondWhole(200, ["x-large", "a".repeat(40_000)]),
    },
  );
});

/** Sends DATA, each when the windows have room for it. */
async function sendWithin(peer: Peer, frames: readonly Buffer[]): Promise<void> {
  const rooms = new Map<number, number>();
  const change = (stream: number, by: number) => rooms.set(stream, (rooms.get(stream) ?? defaultWindow) + by);
  const room = (stream: number) => Math.min(rooms.get(stream) ?? defaultWindow, rooms.get(0) ?? defaultWindow);
  for (const each of frames) {
    const stream = each.readUInt32BE(5);
    const length = each.length - 9;
    while (room(stream) < length) {
      const update = await peer.receive("WINDOW_UPDATE");
      change(update.stream, update.payload.readUInt32BE(0));
    }
    change(0, -length);
    change(stream, -length);
    peer.send(each);
  }
}

describe("windows that a peer has used come back", () => {
  test(
    "6.1: padding, too",
    async () => {
      const peer = await connectPeer(server.port);
      const frames = Array.from({ length: 1_000 }, () => data(1, padded("a", 255), flag.padded));
      peer.send(post(1));
      await sendWithin(peer, [...frames, data(1, "", flag.endStream)]);
      expect(await text(peer, 1)).toBe("got 1000");
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test.each([
    ["that was reset", "/refuse"],
    ["whose request nobody reads", "/nowhere"],
  ])(
    "6.9: DATA of a stream %s, on the connection",
    async (_what, path) => {
      const peer = await connectPeer(server.port);
      for (let stream = 1; stream < 40; stream += 2) peer.send(post(stream, path));
      await pingPong(peer);
      const frames = Array.from({ length: 20 }, (_, index) => data(2 * index + 1, Buffer.alloc(10_000)));
      await sendWithin(peer, frames);
      peer.send(get(41));
      expect(await text(peer, 41)).toBe("got 0");
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});

describe("an answer keeps within what the peer has announced", () => {
  test(
    "6.9.2: a stream's window, to the byte, when INITIAL_WINDOW_SIZE changes under way and makes it negative",
    async () => {
      const peer = await connectPeer(server.port, [setting.initialWindowSize, 10]);
      peer.send(windowUpdate(0, maxWindow - defaultWindow), get(1, "/long"));
      await receiveBytes(peer, 1, 10);
      await expectSilence(peer);
      peer.send(settings([setting.initialWindowSize, 25]));
      await receiveBytes(peer, 1, 15);
      await expectSilence(peer);
      peer.send(settings([setting.initialWindowSize, 5]), windowUpdate(1, 20));
      await expectSilence(peer); // 25 have been sent of 5 + 20
      peer.send(windowUpdate(1, 1));
      await receiveBytes(peer, 1, 1);
      await expectSilence(peer);
      peer.send(settings([setting.initialWindowSize, 0]), settings([setting.initialWindowSize, longAnswerBytes]));
      await receiveBytes(peer, 1, longAnswerBytes - 26);
      expect(representations((await peer.receiveAny(isTrailer)).payload)).toHaveLength(1);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "6.9.1: the connection's window, to the byte, whatever the streams' is",
    async () => {
      const peer = await connectPeer(server.port, [setting.initialWindowSize, maxWindow]);
      peer.send(get(1, "/long"));
      await receiveBytes(peer, 1, defaultWindow);
      await expectSilence(peer);
      peer.send(windowUpdate(0, 1));
      await receiveBytes(peer, 1, 1);
      await expectSilence(peer);
      peer.send(get(3, "/large-head")); // what is no DATA needs no window
      await peer.receive("HEADERS", 3);
      peer.send(windowUpdate(0, longAnswerBytes));
      await receiveBytes(peer, 1, longAnswerBytes - defaultWindow - 1);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "6.5.2: MAX_FRAME_SIZE, before it is raised and after",
    async () => {
      const peer = await connectPeer(server.port, [setting.initialWindowSize, maxWindow]);
      peer.send(windowUpdate(0, maxWindow - defaultWindow), get(1, "/long"));
      expect(await largestFrame(peer, 1)).toBeLessThanOrEqual(maxFrameBytes);
      peer.send(settings([setting.maxFrameSize, 20_000]), get(3, "/long"));
      expect(await largestFrame(peer, 3)).toBeLessThanOrEqual(20_000);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "4.2: MAX_FRAME_SIZE with a header block, which CONTINUATION goes on with",
    async () => {
      const peer = await connectPeer(server.port);
      peer.send(get(1, "/large-head"));
      let next = await peer.receiveAny(({ stream }) => stream === 1);
      expect([next.type, next.flags & flag.endStream]).toEqual(["HEADERS", flag.endStream]);
      const fragments = [next.payload];
      while ((next.flags & flag.endHeaders) === 0) {
        next = await peer.receiveAny(({ stream }) => stream === 1);
        expect(next.type).toBe("CONTINUATION");
        fragments.push(next.payload);
      }
      expect(Math.max(...fragments.map(({ length }) => length))).toBeLessThanOrEqual(maxFrameBytes);
      expect(representations(Buffer.concat(fragments)).map(({ kind }) => kind)).toEqual(["indexed", "literal"]);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "4.3.1: HEADER_TABLE_SIZE of 0: the first block says so, and none refers to a table",
    async () => {
      const peer = await connectPeer(server.port, [setting.headerTableSize, 0]);
      const blocks: ReturnType<typeof representations>[] = [];
      for (const stream of [1, 3]) {
        peer.send(get(stream));
        blocks.push(representations((await peer.receive("HEADERS", stream)).payload));
      }
      expect(blocks[0]?.[0]).toEqual({ kind: "sizeUpdate", value: 0 }); // RFC 7541, section 4.2
      expect(blocks.flat().filter(({ kind, value }) => kind !== "sizeUpdate" && value > staticEntries)).toEqual([]);
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});
