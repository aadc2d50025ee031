const lineFeed = 10;
const carriageReturn = 13;

/** Counts the bytes that the reader of a body holds when some more have come, at the most. */
export type HeldBytes = (bytes: Uint8Array) => number;

/** Whether a body is server-sent events (HTML, section 9.2). */
export function isEventStream({ headers }: Response): boolean {
  return (headers.get("content-type") ?? "").toLowerCase().startsWith("text/event-stream");
}

/** Of a body that is read as a whole. */
export function heldOfAll(): HeldBytes {
  let total = 0;
  return (bytes) => {
    total += bytes.length;
    return total;
  };
}

/** Of server-sent events: each is held until an empty line. Lines end with CR, LF or both, wherever the pieces are cut. */
export function heldOfEvent(): HeldBytes {
  let event = 0;
  let isLineEmpty = true;
  let last = 0;
  return (bytes) => {
    let most = 0;
    for (const byte of bytes) {
      const isSecondHalf = byte === lineFeed && last === carriageReturn;
      const isEnd = byte === lineFeed || byte === carriageReturn;
      last = byte;
      if (isSecondHalf) continue;
      event = isEnd && isLineEmpty ? 0 : event + 1;
      isLineEmpty = isEnd;
      if (event > most) most = event;
    }
    return most;
  };
}
