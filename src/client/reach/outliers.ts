/** Figures of gRFC A50, at its defaults. */
const minHosts = 5;
const maxEjectedShare = 0.1;
const baseEjectionMs = 30_000;
const maxEjectionMs = 300_000;
/** "success_rate_ejection": so many calls of a host within the interval, and how many deviations below the mean it may be. */
const successRate = { minCalls: 100, deviations: 1.9 } as const;
/** "failure_percentage_ejection": so many calls, and the share of them that may fail. */
const failureShare = { minCalls: 50, max: 0.85 } as const;

/** How often hosts are compared. */
export const sweepMs = 10_000;

/** What is known of one host. The sweep writes all but the counts, and sets those to 0. */
export interface Host {
  succeeded: number;
  failed: number;
  /** Milliseconds since when it is ejected; undefined when it is not. */
  ejectedAtMs: number | undefined;
  /** How often it was ejected, less the sweeps in which it was not. */
  ejections: number;
}

/**
 * Ejects hosts that fail much more than the others, and takes back those whose time is over (gRFC A50). Fewer than five hosts are not
 * compared. At most a tenth of the hosts is out at a time, but one always can be.
 *
 * @returns whether a host went or came.
 */
export function sweepOutliers(hosts: readonly Host[], nowMs: number): boolean {
  const before = hosts.map(({ ejectedAtMs }) => ejectedAtMs);
  for (const host of [...bySuccessRate(hosts), ...byFailureShare(hosts)]) {
    const out = hosts.filter(({ ejectedAtMs }) => ejectedAtMs !== undefined).length;
    if (out > 0 && (out + 1) / hosts.length > maxEjectedShare) break;
    if (host.ejectedAtMs !== undefined) continue;
    host.ejectedAtMs = nowMs;
    host.ejections++;
  }
  for (const host of hosts) {
    takeBack(host, nowMs);
    host.succeeded = host.failed = 0;
  }
  return hosts.some(({ ejectedAtMs }, index) => ejectedAtMs !== before[index]);
}

/** The longer a host has been well, the shorter its next ejection. */
function takeBack(host: Host, nowMs: number): void {
  if (host.ejectedAtMs === undefined) host.ejections = Math.max(0, host.ejections - 1);
  else if (nowMs - host.ejectedAtMs >= Math.min(baseEjectionMs * host.ejections, maxEjectionMs)) host.ejectedAtMs = undefined;
}

function bySuccessRate(hosts: readonly Host[]): Host[] {
  const busy = hosts.filter(({ succeeded, failed }) => succeeded + failed >= successRate.minCalls);
  if (busy.length < minHosts) return [];
  const rates = busy.map(({ succeeded, failed }) => succeeded / (succeeded + failed));
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  const floor = mean - successRate.deviations * Math.sqrt(variance);
  return busy.filter((_, index) => (rates[index] ?? 0) < floor);
}

function byFailureShare(hosts: readonly Host[]): Host[] {
  const busy = hosts.filter(({ succeeded, failed }) => succeeded + failed >= failureShare.minCalls);
  if (busy.length < minHosts) return [];
  return busy.filter(({ succeeded, failed }) => failed / (succeeded + failed) > failureShare.max);
}
