/** One message of a gRPC, gRPC-Web or Connect stream, or its end. */
export interface Envelope {
  readonly flags: number;
  readonly data: Buffer;
}

/** Takes a body apart into its five-byte-prefixed messages. @throws RangeError when the last one is cut off. */
export function readEnvelopes(body: Buffer): Envelope[] {
  const envelopes: Envelope[] = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) throw new RangeError(`the message at byte ${at} is cut off`);
    envelopes.push({ flags: body.readUInt8(at), data: body.subarray(at + 5, end) });
    at = end;
  }
  return envelopes;
}
