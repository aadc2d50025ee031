/** The peer's compressed header block breaks RFC 7541. A connection error of type COMPRESSION_ERROR: nothing on it can be read on. */
export class HpackError extends Error {
  override readonly name = "HpackError";
}
