import { constants, type Http2Stream } from "node:http2";

/**
 * Destroys a closed stream that HTTP/2 knows no more. Node waits for a stream's last write before it does, also when the peer has
 * reset the stream without an error (NO_ERROR), after which no write ends: its "close" would never come.
 */
export function destroyOnceGone(stream: Http2Stream): void {
  if (!stream.destroyed) setImmediate(destroyIfGone, stream);
}

/** Node has its turn first. A stream whose reset is still to be sent, after its last bytes, is none of these. */
function destroyIfGone(stream: Http2Stream): void {
  if (!stream.destroyed && stream.state.state === constants.NGHTTP2_STREAM_STATE_IDLE) stream.destroy();
}
