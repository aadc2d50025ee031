import {
  answerOn,
  block,
  codeOf,
  connectPeer,
  data,
  flag,
  frame,
  get,
  headers,
  lastStreamOf,
  maxWindow,
  type Peer,
  padded,
  ping,
  pingPong,
  post,
  requestFields,
  setting,
  settings,
  windowUpdate,
} from "./support/frames.ts";
import { expectHarmless, type Http2Server, startHttp2 } from "./support/http2-server.ts";

const timeoutMs = 5_000;

const text = async (peer: Peer, stream: number) => (await answerOn(peer, stream)).toString();

let server: Http2Server;

beforeEach(async () => {
  server = await startHttp2();
});

describe("what a peer asks is answered", () => {
  test(
    "6.7: PING, with the same bytes, and before a long answer is through",
    async () => {
      const peer = await connectPeer(server.port);
      peer.send(get(1, "/long"), ping("any byte"));
      const answer = await peer.receive("PING");
      expect(answer).toMatchObject({ flags: flag.ack, stream: 0 });
      expect(answer.payload.toString()).toBe("any byte");
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "6.7: an acknowledgement of a PING that nobody sent is not",
    async () => {
      const peer = await connectPeer(server.port);
      peer.send(ping("any byte", flag.ack), ping("the next"));
      expect((await peer.receive("PING")).payload.toString()).toBe("the next");
    },
    timeoutMs,
  );

  test(
    "6.5.3: each SETTINGS is acknowledged, unknown settings too",
    async () => {
      const peer = await connectPeer(server.port);
      peer.send(settings([setting.maxConcurrentStreams, 0]), settings([0xff, 1], [8, 1]), settings());
      for (let count = 0; count < 3; count++) {
        const { flags, payload } = await peer.receive("SETTINGS");
        expect([flags, payload.length]).toEqual([flag.ack, 0]);
      }
    },
    timeoutMs,
  );
});

describe("a request is taken", () => {
  const fields = block(...requestFields({}, ["x-a", "b"]));
  /** Exclusive, on stream 3, with the weight 256. */
  const priority = Buffer.from([0x80, 0, 0, 3, 255]);

  test.each<[what: string, frames: Buffer[], answer: string]>([
    [
      "6.10: whose block comes byte by byte",
      [
        frame("HEADERS", { stream: 1, payload: fields.subarray(0, 1), flags: flag.endStream }),
        ...[...fields.subarray(1)].map((byte) => frame("CONTINUATION", { stream: 1, payload: Buffer.from([byte]) })),
        frame("CONTINUATION", { stream: 1, flags: flag.endHeaders }),
      ],
      "got 0",
    ],
    [
      "6.1: with padded DATA",
      [post(1), data(1, padded("abc", 255), flag.padded), data(1, padded("", 9), flag.padded | 1)],
      "got 3",
    ],
    ["6.2: with padded HEADERS", [headers(1, padded(fields, 255), flag.padded | flag.endStream)], "got 0"],
    [
      "5.3.2: with priority in HEADERS",
      [headers(1, Buffer.concat([priority, fields]), flag.priority | flag.endStream)],
      "got 0",
    ],
    [
      "6.2: with padding and priority",
      [headers(1, padded(Buffer.concat([priority, fields]), 3), flag.padded | flag.priority | flag.endStream)],
      "got 0",
    ],
    [
      "6.3: among PRIORITY of every kind of stream",
      [...[1, 2, 9].map((stream) => frame("PRIORITY", { stream, payload: priority })), get(1)],
      "got 0",
    ],
    [
      "5.5: among unknown frames",
      [frame(0x50, { payload: "any" }), post(1), frame(0x51, { stream: 1, flags: 0xff }), data(1, "a", 1)],
      "got 1",
    ],
    ["4.1: with flags that mean nothing", [post(1), data(1, "ab", 0xf6), data(1, "", 0xf7)], "got 2"],
    ["8.1: with trailers", [post(1), data(1, "abcd"), headers(1, block(["x-end", "1"]), flag.endStream)], "got 4"],
    ["8.1: with trailers and no DATA", [post(1), headers(1, block(["x-end", "1"]), flag.endStream)], "got 0"],
    [
      "8.1.1: with as much DATA as content-length",
      [post(1, "/", ["content-length", "3"]), data(1, "ab"), data(1, "c", 1)],
      "got 3",
    ],
    ["8.2.2: with te: trailers", [headers(1, block(...requestFields({}, ["te", "trailers"])), flag.endStream)], "got 0"],
    ["6.9: after WINDOW_UPDATE for a stream that has ended", [get(1), windowUpdate(1, 1)], "got 0"],
  ])(
    "%s",
    async (_what, frames, answer) => {
      const peer = await connectPeer(server.port);
      peer.send(...frames);
      expect(await text(peer, 1)).toBe(answer);
      peer.send(windowUpdate(1, 1), get(11));
      expect(await text(peer, 11)).toBe("got 0");
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});

describe("a drain", () => {
  test(
    "6.8: announces itself with 2^31-1, takes what was under way until the peer has seen it, and lets all of it end",
    async () => {
      const peer = await connectPeer(server.port);
      peer.send(post(1));
      await pingPong(peer);
      const drained = server.listener.drain();
      const warning = await peer.receive("GOAWAY");
      expect([codeOf(warning), lastStreamOf(warning)]).toEqual(["NO_ERROR", maxWindow]);
      const { payload } = await peer.receive("PING");
      peer.send(post(3), ping(payload, flag.ack));
      const last = await peer.receive("GOAWAY");
      expect([codeOf(last), lastStreamOf(last)]).toEqual(["NO_ERROR", 3]);
      expect(server.listener.inFlight).toBe(2);
      peer.send(data(1, "a", flag.endStream), data(3, "bc", flag.endStream));
      expect([await text(peer, 1), await text(peer, 3)]).toEqual(["got 1", "got 2"]);
      await peer.closed;
      await drained;
      expect(server.listener.inFlight).toBe(0);
    },
    timeoutMs,
  );
});
