import { InvalidArgumentError } from "commander";

const unitsMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** What Node's timers can wait. */
const maxTimeoutMs = 2 ** 31 - 1;

/** Milliseconds of a time such as `500ms`, `30s` or `2m`; seconds where no unit stands. For commander. */
export function parseTime(text: string): number {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Math.round(Number(amount) * (unitsMs[unit] ?? Number.NaN));
  if (ms > 0 && ms <= maxTimeoutMs) return ms;
  throw new InvalidArgumentError("write a time such as 500ms, 30s or 2m, at most 24 days");
}
