/** What HTTP/2 says in numbers (RFC 9113). */

/** Frame types (section 6). */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames; some share a bit. */
export const frameFlags = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** Error codes (section 7). */
export const errorCodes = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const;

export type ErrorCode = (typeof errorCodes)[keyof typeof errorCodes];

/** Settings (section 6.5.2). */
export const settingIds = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** Length, type, flags and stream id before each frame's payload (section 4.1). */
export const frameHeaderBytes = 9;
/** The longest frame that a peer takes unless it says otherwise, and the longest that we take (section 4.2). */
export const defaultMaxFrameBytes = 16_384;
/** Where flow-control windows start (section 6.9.2), and where they end. */
export const defaultWindowBytes = 65_535;
export const maxWindowBytes = 2 ** 31 - 1;
/** A GOAWAY with it says "no new streams, please" and refuses none (section 6.8). */
export const maxStreamId = 2 ** 31 - 1;

/** What every client sends first (section 3.4). */
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** The peer broke the rules of the connection, which ends with a GOAWAY (section 5.4.1). */
export class ConnectionError extends Error {
  readonly code = "ERR_HTTP2_ERROR";
  readonly errorCode: ErrorCode;

  constructor(errorCode: ErrorCode, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}

/** The peer broke the rules of one stream, which ends with a RST_STREAM (section 5.4.2). */
export class StreamError extends Error {
  readonly errorCode: ErrorCode;

  constructor(errorCode: ErrorCode, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}
