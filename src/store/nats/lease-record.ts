import { natsBounds } from "../../core/index.ts";
import type { Stored } from "./link.ts";

/**
 * What a key's last message says of its lease, in the header `Convoke-Lease`. All times are by the clock of the server that led the stream.
 *
 * A lease ends when the stream's time passes its end: with the first message that was stored later than `ttlMs` and a grace after the
 * lease's own. So all who read the stream agree, whatever their clocks say; whoever thinks that a lease is due stores a mark to find out.
 */
export type LeaseRecord =
  /** The key was free, and is held: the revision is the message's own sequence. */
  | { readonly kind: "taken"; readonly ttlMs: number }
  /** Held for another `ttlMs`. Void when it was stored later than `untilMs`: the lease had ended before. */
  | {
      readonly kind: "renewed";
      readonly revision: bigint;
      readonly ttlMs: number;
      readonly untilMs: number;
      readonly isNews: boolean;
    }
  | { readonly kind: "released"; readonly revision: bigint };

export const leaseHeader = "Convoke-Lease";

const pattern = /^(?:taken ([\d.]+)|renewed (\d+) ([\d.]+) (\d+) ([01])|released (\d+))$/;

export function leaseText(record: LeaseRecord): string {
  switch (record.kind) {
    case "taken":
      return `taken ${record.ttlMs}`;
    case "renewed":
      return `renewed ${record.revision} ${record.ttlMs} ${record.untilMs} ${record.isNews ? 1 : 0}`;
    case "released":
      return `released ${record.revision}`;
  }
}

/** Undefined for what is no record, such as a mark. */
export function readLeaseRecord({ headers }: Pick<Stored, "headers">): LeaseRecord | undefined {
  const match = pattern.exec(headers.get(leaseHeader));
  if (match === null) return undefined;
  const [, taken, renewed, ttlMs, untilMs, isNews, released] = match;
  if (taken !== undefined) return { kind: "taken", ttlMs: Number(taken) };
  if (released !== undefined) return { kind: "released", revision: BigInt(released) };
  return {
    kind: "renewed",
    revision: BigInt(renewed ?? 0),
    ttlMs: Number(ttlMs),
    untilMs: Number(untilMs),
    isNews: isNews === "1",
  };
}

/** How long the server keeps the record, in seconds: longer than anybody needs it. */
export function keptSeconds(record: LeaseRecord): number {
  const { leaseRecordMs, leaseReleaseMs } = natsBounds;
  return Math.ceil((record.kind === "released" ? leaseReleaseMs : record.ttlMs + leaseRecordMs) / 1_000);
}
