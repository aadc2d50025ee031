import {
  block,
  codeOf,
  connectPeer,
  connectSilently,
  data,
  defaultWindow,
  type ErrorCode,
  flag,
  frame,
  get,
  headers,
  maxWindow,
  type Peer,
  ping,
  post,
  preface,
  requestFields,
  reset,
  setting,
  settings,
  uint32,
  windowUpdate,
} from "./support/frames.ts";
import { expectHarmless, type Http2Server, startHttp2 } from "./support/http2-server.ts";

/** A refusal that does not come within this never comes. */
const timeoutMs = 5_000;

const maxFrameBytes = 16_384;

/** A header block that is whole but for what follows it. */
const open = block(...requestFields({ ":method": "POST", ":path": "/hold" }));
/** Stream 1 as it stays open. */
const held = post(1, "/hold");
/** The same request on stream 1, its block unfinished. */
const unfinished = frame("HEADERS", { stream: 1, payload: open });
const continuation = (stream: number, flags: number = flag.endHeaders) => frame("CONTINUATION", { stream, flags });
const compressed = (...bytes: number[]) => headers(1, Buffer.concat([open, Buffer.from(bytes)]), flag.endStream);

/** More than a window of 65,535 bytes. */
const overrun = Array.from({ length: 5 }, () => data(1, Buffer.alloc(maxFrameBytes)));

type Row = [what: string, frames: Buffer[], ...codes: ErrorCode[]];

/** What leaves no connection to go on with. */
const connectionErrors: Row[] = [
  ["4.2: HEADERS over 16,384 bytes", [post(1, "/", ["x-a", "a".repeat(maxFrameBytes)])], "FRAME_SIZE_ERROR"],
  ["4.2: SETTINGS over 16,384 bytes", [frame("SETTINGS", { payload: Buffer.alloc(16_386) })], "FRAME_SIZE_ERROR"],
  ["4.2: HEADERS of 16 MiB, by their head alone", [frame("HEADERS", { stream: 1, length: 0xff_ffff })], "FRAME_SIZE_ERROR"],
  ["4.3: a field without its value", [compressed(0, 1, 0x61)], "COMPRESSION_ERROR"],
  ["4.3: a field longer than its block", [compressed(0, 1, 0x61, 9, 0x62)], "COMPRESSION_ERROR"],
  ["4.3: a size update after a field", [compressed(0x20)], "COMPRESSION_ERROR"],
  ["4.3: a table over 4,096 bytes", [headers(1, Buffer.from([0x3f, 0xe2, 0x1f]))], "COMPRESSION_ERROR"],
  ["4.3: index 0", [compressed(0x80)], "COMPRESSION_ERROR"],
  ["4.3: an index of an empty dynamic table", [compressed(0x80 | 62)], "COMPRESSION_ERROR"],
  ["4.3: an index without an end", [compressed(...Array(12).fill(0xff))], "COMPRESSION_ERROR"],
  ["4.3: Huffman code with a whole byte of padding", [compressed(0, 1, 0x61, 0x82, 0x1f, 0xff)], "COMPRESSION_ERROR"],
  ["4.3: Huffman code padded with zeros", [compressed(0, 1, 0x61, 0x81, 0x18)], "COMPRESSION_ERROR"],
  ["4.3: Huffman's end-of-string symbol", [compressed(0, 1, 0x61, 0x84, 0xff, 0xff, 0xff, 0xff)], "COMPRESSION_ERROR"],
  ["5.1: DATA on an idle stream", [data(1, "x")], "PROTOCOL_ERROR"],
  ["5.1: WINDOW_UPDATE on an idle stream", [windowUpdate(1, 1)], "PROTOCOL_ERROR"],
  ["5.1.1: HEADERS on an even stream", [get(2)], "PROTOCOL_ERROR"],
  ["5.1.1: HEADERS on a skipped stream", [post(5, "/hold"), get(3)], "PROTOCOL_ERROR"],
  ["5.5: an unknown frame in the middle of a block", [unfinished, frame(0x50), continuation(1)], "PROTOCOL_ERROR"],
  ["6.1: DATA on stream 0", [data(0, "x")], "PROTOCOL_ERROR"],
  ["6.1: DATA whose padding is its payload", [held, data(1, Buffer.from([1]), flag.padded)], "PROTOCOL_ERROR"],
  ["6.1: padded DATA of no bytes", [held, data(1, "", flag.padded)], "PROTOCOL_ERROR", "FRAME_SIZE_ERROR"],
  ["6.2: HEADERS on stream 0", [get(0)], "PROTOCOL_ERROR"],
  ["6.2: HEADERS with more padding than payload", [headers(1, Buffer.from([2, 0x82]), flag.padded)], "PROTOCOL_ERROR"],
  ["6.2: PING in the middle of a block", [unfinished, ping("12345678"), continuation(1)], "PROTOCOL_ERROR"],
  ["6.2: HEADERS of another stream in the middle of a block", [unfinished, get(3)], "PROTOCOL_ERROR"],
  ["6.2: CONTINUATION of another stream", [unfinished, continuation(3)], "PROTOCOL_ERROR"],
  ["6.3: PRIORITY on stream 0", [frame("PRIORITY", { payload: Buffer.alloc(5) })], "PROTOCOL_ERROR"],
  ["6.4: RST_STREAM on stream 0", [reset(0, "CANCEL")], "PROTOCOL_ERROR"],
  ["6.4: RST_STREAM on an idle stream", [reset(1, "CANCEL")], "PROTOCOL_ERROR"],
  ["6.4: RST_STREAM of three bytes", [held, frame("RST_STREAM", { stream: 1, payload: "abc" })], "FRAME_SIZE_ERROR"],
  ["6.5: SETTINGS on a stream", [held, frame("SETTINGS", { stream: 1 })], "PROTOCOL_ERROR"],
  ["6.5: SETTINGS of five bytes", [frame("SETTINGS", { payload: "abcde" })], "FRAME_SIZE_ERROR"],
  [
    "6.5: an acknowledgement with settings",
    [frame("SETTINGS", { flags: flag.ack, payload: Buffer.alloc(6) })],
    "FRAME_SIZE_ERROR",
  ],
  ["6.5.2: ENABLE_PUSH of 2", [settings([setting.enablePush, 2])], "PROTOCOL_ERROR"],
  ["6.5.2: INITIAL_WINDOW_SIZE of 2^31", [settings([setting.initialWindowSize, 2 ** 31])], "FLOW_CONTROL_ERROR"],
  ["6.5.2: MAX_FRAME_SIZE of 16,383", [settings([setting.maxFrameSize, maxFrameBytes - 1])], "PROTOCOL_ERROR"],
  ["6.5.2: MAX_FRAME_SIZE of 2^24", [settings([setting.maxFrameSize, 2 ** 24])], "PROTOCOL_ERROR"],
  ["6.7: PING of seven bytes", [ping("1234567")], "FRAME_SIZE_ERROR"],
  ["6.7: PING on a stream", [held, frame("PING", { stream: 1, payload: "12345678" })], "PROTOCOL_ERROR"],
  ["6.8: GOAWAY on a stream", [held, frame("GOAWAY", { stream: 1, payload: Buffer.alloc(8) })], "PROTOCOL_ERROR"],
  ["6.9: WINDOW_UPDATE of three bytes", [frame("WINDOW_UPDATE", { payload: "abc" })], "FRAME_SIZE_ERROR"],
  ["6.9: WINDOW_UPDATE of 0 on stream 0", [windowUpdate(0, 0)], "PROTOCOL_ERROR"],
  ["6.9.1: the connection's window over 2^31-1", [windowUpdate(0, maxWindow)], "FLOW_CONTROL_ERROR"],
  [
    "6.9.2: INITIAL_WINDOW_SIZE that takes a stream's window over 2^31-1",
    [held, windowUpdate(1, maxWindow - defaultWindow), settings([setting.initialWindowSize, defaultWindow + 1])],
    "FLOW_CONTROL_ERROR",
  ],
  ["6.10: CONTINUATION without HEADERS", [continuation(1)], "PROTOCOL_ERROR"],
  ["6.10: CONTINUATION after the end of the block", [held, continuation(1)], "PROTOCOL_ERROR"],
  ["6.10: CONTINUATION on stream 0", [unfinished, continuation(0)], "PROTOCOL_ERROR"],
  ["8.4: PUSH_PROMISE from a client", [held, frame("PUSH_PROMISE", { stream: 1, payload: uint32(2) })], "PROTOCOL_ERROR"],
];

/** Sends and gives the code of the GOAWAY, once the connection has ended. */
async function refusalOf(peer: Peer, frames: readonly Buffer[]): Promise<ErrorCode | undefined> {
  peer.send(...frames);
  const goaway = await peer.receive("GOAWAY");
  await peer.closed;
  return codeOf(goaway);
}

describe("a connection error is answered with GOAWAY and the end of the connection", () => {
  let server: Http2Server;

  beforeEach(async () => {
    server = await startHttp2({ limits: { connectionWindowBytes: defaultWindow } });
  });

  test.each(connectionErrors)(
    "%s",
    async (_what, frames, ...codes) => {
      expect(codes).toContain(await refusalOf(await connectPeer(server.port), frames));
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test(
    "6.9: more DATA than the connection's window, unless the window is given back before anyone has read the body",
    async () => {
      const peer = await connectPeer(server.port);
      peer.send(post(1, "/paused"), ...overrun);
      const answer = await peer.receiveAny(
        ({ type, stream }) => stream === 0 && (type === "GOAWAY" || type === "WINDOW_UPDATE"),
      );
      if (answer.type === "GOAWAY") {
        expect(codeOf(answer)).toBe("FLOW_CONTROL_ERROR");
        await peer.closed;
      }
      peer.socket.destroy();
      await expectHarmless(server);
    },
    timeoutMs,
  );

  test.each<[what: string, bytes: Buffer[]]>([
    ["a preface that goes wrong at its end", [preface.subarray(0, -4), Buffer.from("XX\r\n"), settings()]],
    ["a first frame that is not SETTINGS", [preface, ping("12345678")]],
    ["a first SETTINGS that acknowledges", [preface, frame("SETTINGS", { flags: flag.ack })]],
  ])(
    "3.4: %s, for which GOAWAY may be left out",
    async (_what, bytes) => {
      const peer = await connectSilently(server.port);
      peer.send(...bytes);
      await peer.closed;
      const goaway = peer.unread.find(({ type }) => type === "GOAWAY");
      if (goaway !== undefined) expect(codeOf(goaway)).toBe("PROTOCOL_ERROR");
      await expectHarmless(server);
    },
    timeoutMs,
  );
});
