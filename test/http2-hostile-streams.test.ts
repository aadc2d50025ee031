import {
  answerOn,
  block,
  codeOf,
  connectPeer,
  data,
  defaultWindow,
  type ErrorCode,
  type Field,
  flag,
  frame,
  get,
  headers,
  maxWindow,
  type Peer,
  post,
  requestFields,
  windowUpdate,
} from "./support/frames.ts";
import { expectHarmless, type Http2Server, startHttp2 } from "./support/http2-server.ts";

/** A refusal that does not come within this never comes. */
const timeoutMs = 5_000;

const maxFrameBytes = 16_384;

/** Stream 1 as it stays open. */
const held = post(1, "/hold");

/** More than a window of 65,535 bytes. */
const overrun = Array.from({ length: 5 }, () => data(1, Buffer.alloc(maxFrameBytes)));

type Row = [what: string, frames: Buffer[], ...codes: ErrorCode[]];

/** A request on stream 1 that has these fields too, or instead. */
const request = (changes: Readonly<Record<string, string | undefined>>, ...more: Field[]) =>
  headers(1, block(...requestFields(changes, ...more)), flag.endStream);
const extra = (...more: Field[]) => request({}, ...more);

/** Requests that are malformed by their header block (RFC 9113, section 8.1.1). */
const malformed: [what: string, request: Buffer][] = [
  ["8.2: an upper-case name", extra(["X-A", "b"])],
  ["8.2.1: an empty name", extra(["", "b"])],
  ["8.2.1: a name and a value that are both empty", extra(["", ""])],
  ["8.2.1: a space in a name", extra(["a b", "c"])],
  ["8.2.1: a colon in a name", extra(["a:b", "c"])],
  ["8.2.1: a byte over 0x7f in a name", extra(["\u00e4", "c"])],
  ["8.2.1: NUL in a value", extra(["a", "b\0c"])],
  ["8.2.1: a line feed in a value", extra(["a", "b\nc"])],
  ["8.2.1: a carriage return in a value", extra(["a", "b\rc"])],
  ["8.2.1: a value that begins with a space", extra(["a", " b"])],
  ["8.2.1: a value that ends with a tab", extra(["a", "b\t"])],
  ["8.2.2: connection", extra(["connection", "close"])],
  ["8.2.2: keep-alive", extra(["keep-alive", "timeout=5"])],
  ["8.2.2: proxy-connection", extra(["proxy-connection", "close"])],
  ["8.2.2: transfer-encoding", extra(["transfer-encoding", "chunked"])],
  ["8.2.2: upgrade", extra(["upgrade", "h2c"])],
  ["8.2.2: te other than trailers", extra(["te", "gzip"])],
  ["8.3: an unknown pseudo-header field", request({ ":protocol-of-mine": "x" })],
  ["8.3: a response's pseudo-header field", request({ ":status": "200" })],
  ["8.3: a pseudo-header field after a regular one", request({ ":path": undefined }, ["a", "b"], [":path", "/"])],
  ["8.3: :method twice", request({}, [":method", "GET"])],
  ["8.3: :path twice", request({}, [":path", "/hold"])],
  ["8.3.1: no :method", request({ ":method": undefined })],
  ["8.3.1: no :scheme", request({ ":scheme": undefined })],
  ["8.3.1: no :path", request({ ":path": undefined })],
  ["8.3.1: an empty :path", request({ ":path": "" })],
  ["8.1.1: a content-length that is no number", extra(["content-length", "1x"])],
  ["8.1.1: a content-length and the end of the stream", extra(["content-length", "1"])],
];

const trailers = (...fields: Field[]) => headers(1, block(...fields), flag.endStream);

/** What ends one stream after it was opened. */
const streamErrors: Row[] = [
  ["6.9: WINDOW_UPDATE of 0", [held, windowUpdate(1, 0)], "PROTOCOL_ERROR"],
  ["6.9.1: a window over 2^31-1", [held, windowUpdate(1, maxWindow)], "FLOW_CONTROL_ERROR"],
  ["8.1: trailers that do not end the stream", [held, headers(1, block(["a", "b"]))], "PROTOCOL_ERROR"],
  ["8.1.1: less DATA than content-length", [post(1, "/", ["content-length", "5"]), data(1, "abcd", 1)], "PROTOCOL_ERROR"],
  ["8.1.1: more DATA than content-length", [post(1, "/", ["content-length", "3"]), data(1, "abcd", 1)], "PROTOCOL_ERROR"],
  [
    "8.1.1: more DATA than content-length, without its end",
    [post(1, "/", ["content-length", "3"]), data(1, "abcd")],
    "PROTOCOL_ERROR",
  ],
  [
    "8.1.1: less DATA than content-length, then trailers",
    [post(1, "/", ["content-length", "3"]), trailers(["a", "b"])],
    "PROTOCOL_ERROR",
  ],
  ["8.2: an upper-case name in trailers", [post(1), trailers(["A", "b"])], "PROTOCOL_ERROR"],
  ["8.3: a pseudo-header field in trailers", [post(1), trailers([":path", "/"])], "PROTOCOL_ERROR"],
];

/** What the RFC lets end either the stream or the connection. */
const eitherErrors: Row[] = [
  ["4.2: DATA over 16,384 bytes", [held, data(1, Buffer.alloc(maxFrameBytes + 1))], "FRAME_SIZE_ERROR"],
  ["6.3: PRIORITY of four bytes", [held, frame("PRIORITY", { stream: 1, payload: "abcd" })], "FRAME_SIZE_ERROR"],
  ["5.1: DATA after the end of the stream", [get(1, "/hold"), data(1, "x")], "STREAM_CLOSED"],
  ["5.1: HEADERS after the end of the stream", [get(1, "/hold"), trailers(["a", "b"])], "STREAM_CLOSED"],
  ["6.9: more DATA than the stream's window", [post(1, "/paused"), ...overrun], "FLOW_CONTROL_ERROR"],
];

describe("a stream error ends its stream, and the connection goes on", () => {
  let server: Http2Server;

  beforeEach(async () => {
    server = await startHttp2({ limits: { maxConcurrentStreams: 2, streamWindowBytes: defaultWindow } });
  });

  async function expectGoesOn(peer: Peer): Promise<void> {
    peer.send(get(5));
    expect((await answerOn(peer, 5)).toString()).toBe("got 0");
    peer.socket.destroy();
    await expectHarmless(server);
  }

  test.each(malformed)(
    "%s is malformed, and nobody sees the request",
    async (_what, bytes) => {
      const peer = await connectPeer(server.port);
      const before = server.seen.length;
      peer.send(bytes);
      // "a server MAY send an HTTP response prior to closing or resetting the stream" (section 8.1.1): 400, section 8.2.1 says
      const first = await peer.receiveAny(({ stream }) => stream === 1);
      if (first.type === "HEADERS")
        expect(first.payload[0]).toBe(0x8c); // HPACK's index of ":status: 400"
      else expect(codeOf(first)).toBe("PROTOCOL_ERROR");
      expect(server.seen.slice(before)).toEqual([]);
      await expectGoesOn(peer);
    },
    timeoutMs,
  );

  test.each(streamErrors)(
    "%s",
    async (_what, frames, ...codes) => {
      const peer = await connectPeer(server.port);
      const before = server.whole.length;
      peer.send(...frames);
      expect(codes).toContain(codeOf(await peer.receive("RST_STREAM", 1)));
      expect(server.whole.slice(before)).toEqual([]);
      await expectGoesOn(peer);
    },
    timeoutMs,
  );

  test.each(eitherErrors)(
    "%s, or ends the connection",
    async (_what, frames, ...codes) => {
      const peer = await connectPeer(server.port);
      peer.send(...frames);
      const refusal = await peer.receiveAny(({ type }) => type === "RST_STREAM" || type === "GOAWAY");
      expect(codes).toContain(codeOf(refusal));
      if (refusal.type === "RST_STREAM") return expectGoesOn(peer);
      await peer.closed;
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "5.1.2: one stream more than MAX_CONCURRENT_STREAMS is refused, those before it go on, and the next is taken",
    async () => {
      const peer = await connectPeer(server.port);
      peer.send(post(1, "/hold"), post(3), get(5));
      expect(codeOf(await peer.receive("RST_STREAM", 5))).toBe("REFUSED_STREAM");
      peer.send(data(3, "abc", flag.endStream));
      expect((await answerOn(peer, 3)).toString()).toBe("got 3");
      peer.send(get(7));
      expect((await answerOn(peer, 7)).toString()).toBe("got 0");
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );
});
