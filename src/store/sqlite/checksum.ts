import { crc32 } from "node:zlib";

/**
 * CRC-32, because what it is against is chance: a disk or a memory that lies. It finds every burst of up to 32 bits, costs a fifth of
 * SHA-256 for a token's bytes, and whoever can write the file could forge any checksum that has no secret.
 *
 * The checksum of each entry begins with its log's, which is of the log's id and name, and with its number: an entry in another's
 * place is as damaged as one with other bytes.
 */
export function logSeed(id: number, name: string): number {
  return crc32(`${id}/${name}`);
}

/** Of an entry. An odd factor makes other numbers other beginnings. */
export function entryChecksum(seed: number, number: number, data: Uint8Array): number {
  return crc32(data, (seed ^ Math.imul(number, 0x9e37_79b1)) >>> 0);
}

/** A log as its row tells of it. */
export interface LogRow {
  readonly id: number;
  readonly name: string;
  /** The first number that is kept. */
  readonly first: number;
  readonly length: number;
  readonly lastAppendMs: number;
  /** Which emptying of a log it was that left this one empty; null while it has entries. */
  readonly emptied: number | null;
}

/** Of a log's row: a length that is too short would hide entries. */
export function rowChecksum({ id, name, first, length, lastAppendMs, emptied }: LogRow): number {
  return crc32(`${id}/${name}/${first}/${length}/${lastAppendMs}/${emptied}`);
}
