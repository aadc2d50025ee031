import { resourceExhausted, storeBounds } from "../core/index.ts";
import type { LeaseTerm } from "./store.ts";

/** Printable ASCII without spaces. */
const namePattern = /^[!-~]*$/;

/** Checks what every store takes alike. @throws RangeError, and ConnectError RESOURCE_EXHAUSTED for what is too large. */
export const check = {
  /** A log's name or a lease's key. */
  name(what: string, name: string): void {
    if (name.length > 0 && name.length <= storeBounds.maxNameChars && namePattern.test(name)) return;
    const rule = `1 to ${storeBounds.maxNameChars} printable ASCII characters without spaces`;
    throw new RangeError(`the ${what} ${JSON.stringify(name.slice(0, storeBounds.maxNameChars))} must be ${rule}`);
  },

  prefix(prefix: string): void {
    if (prefix !== "") check.name("prefix", prefix);
  },

  /** A number of an entry, or of entries. */
  number(what: string, number: number): void {
    if (Number.isSafeInteger(number) && number >= 0) return;
    throw new RangeError(`${what} is ${number}; it must be a whole number of 0 or more`);
  },

  entries(log: string, entries: readonly Uint8Array[]): void {
    if (entries.length > storeBounds.maxAppendEntries) {
      const description = `${entries.length} entries are appended at once; ${storeBounds.maxAppendEntries} is the most`;
      throw resourceExhausted({ subject: log, description });
    }
    const large = entries.find((entry) => entry.byteLength > storeBounds.maxEntryBytes);
    if (large === undefined) return;
    const description = `an entry has ${large.byteLength} bytes; ${storeBounds.maxEntryBytes} is the most`;
    throw resourceExhausted({ subject: log, description });
  },

  limit(limit: number): void {
    if (Number.isSafeInteger(limit) && limit >= 1 && limit <= storeBounds.maxLogsPage) return;
    throw new RangeError(`limit is ${limit}; it must be a whole number from 1 to ${storeBounds.maxLogsPage}`);
  },

  value(key: string, value: Uint8Array): void {
    if (value.byteLength <= storeBounds.maxLeaseValueBytes) return;
    const description = `the value has ${value.byteLength} bytes; ${storeBounds.maxLeaseValueBytes} is the most`;
    throw resourceExhausted({ subject: key, description });
  },

  /** @returns the time of a term that may be. */
  term(term: number | LeaseTerm): number {
    const ttlMs = typeof term === "number" ? term : term.ttlMs;
    check.ttl(ttlMs);
    return ttlMs;
  },

  ttl(ttlMs: number): void {
    const { minLeaseTtlMs, maxLeaseTtlMs } = storeBounds;
    if (ttlMs >= minLeaseTtlMs && ttlMs <= maxLeaseTtlMs) return;
    throw new RangeError(`ttlMs is ${ttlMs}; it must be from ${minLeaseTtlMs} to ${maxLeaseTtlMs}`);
  },
};
