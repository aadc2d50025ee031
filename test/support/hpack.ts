import { HpackDecoder, type HpackDecoderOptions } from "../../src/wire/http2/hpack-decoder.ts";
import type { HpackEncoder } from "../../src/wire/http2/hpack-encoder.ts";

export const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

export const createDecoder = (options: Partial<HpackDecoderOptions> = {}) =>
  new HpackDecoder<string>({ maxTableBytes: 4096, maxListBytes: 65_536, maxPairs: 1000, ...options });

export function decode(decoder: HpackDecoder<string>, text: string) {
  const bytes = hex(text);
  return decoder.decode(bytes, 0, bytes.length);
}

export const listOf = (decoder: HpackDecoder<string>, text: string) => decode(decoder, text).list;

/** The block in a buffer that has just the room that the encoder asks for. */
export function encode(encoder: HpackEncoder, list: readonly string[]): Buffer {
  const into = Buffer.alloc(encoder.bound(list));
  const end = encoder.encode(list, into, 0);
  if (end > into.length) throw new Error(`${end} bytes for a bound of ${into.length}`);
  return into.subarray(0, end);
}

export const encodeHex = (encoder: HpackEncoder, list: readonly string[]) => encode(encoder, list).toString("hex");

/** How many entries the decoder's dynamic table has: the first index past them is refused. */
export function countEntries(decoder: HpackDecoder<string>): number {
  for (let count = 0; count < 65; count++) {
    try {
      decoder.decode(Buffer.from([0x80 | (62 + count)]), 0, 1);
    } catch {
      return count;
    }
  }
  throw new Error("more entries than an index of one byte reaches");
}

/** "name value" by turns. */
export const pairs = (...fields: string[]) =>
  fields.flatMap((field) => [field.slice(0, field.indexOf(" ")), field.slice(field.indexOf(" ") + 1)]);
