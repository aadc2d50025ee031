const headBytes = 5;

/** Counts the envelopes in a stream of bytes, however it is cut, and looks at nothing but their heads. */
export interface EnvelopeCounter {
  readonly count: number;
  add(bytes: Buffer): void;
}

export function createEnvelopeCounter(): EnvelopeCounter {
  let count = 0;
  let missing = 0; // bytes of the message that is on its way
  let head: Buffer = Buffer.alloc(0); // the part of a head that the last bytes ended in
  return {
    get count() {
      return count;
    },
    add(bytes) {
      const data = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
      let position = missing;
      while (position + headBytes <= data.length) {
        count++;
        position += headBytes + data.readUInt32BE(position + 1);
      }
      head = position < data.length ? data.subarray(position) : Buffer.alloc(0);
      missing = Math.max(0, position - data.length);
    },
  };
}
