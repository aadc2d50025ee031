/**
 * Does one fault to processes on this machine, and says whether callers noticed: `npm run fault -- NAME`.
 *
 * The caller is this process. Its garbage is collected on its own thread (`--single-threaded-gc`): V8's other threads would take the processors from what
 * it measures. It is given room to be collected rarely (`--max-semi-space-size=16`).
 */
import { balancingCost } from "./balancing-cost.ts";
import { bitFlip } from "./bit-flip.ts";
import { cancelChain } from "./cancel-chain.ts";
import { certificateRotation } from "./certificate-rotation.ts";
import { diskFull } from "./disk-full.ts";
import { failingReplica } from "./failing-replica.ts";
import type { Fault } from "./fault.ts";
import { killNats } from "./kill-nats.ts";
import { killSqlite } from "./kill-sqlite.ts";
import { leaseExpiry } from "./lease-expiry.ts";
import { oneRun } from "./one-run.ts";
import { createProcesses } from "./processes.ts";
import { registryDown } from "./registry-down.ts";
import { registryScale } from "./registry-scale.ts";
import { replicaLoss } from "./replica-loss.ts";
import { createReplicas } from "./replicas.ts";
import { resume } from "./resume.ts";
import { retryStorm } from "./retry-storm.ts";
import { slowReplica } from "./slow-replica.ts";
import { staleLease } from "./stale-lease.ts";

const faults: readonly Fault[] = [
  replicaLoss,
  slowReplica,
  failingReplica,
  retryStorm,
  balancingCost,
  leaseExpiry,
  registryScale,
  registryDown,
  cancelChain,
  certificateRotation,
  killSqlite,
  resume,
  oneRun,
  staleLease,
  diskFull,
  bitFlip,
  killNats,
];

/** Whatever hangs, the run ends, unless a fault says otherwise. */
const defaultBoundMs = 60_000;

const [name] = process.argv.slice(2);
const fault = faults.find((each) => each.name === name);
const say = (line: string) => void process.stdout.write(`${line}\n`);

if (fault === undefined) {
  for (const each of faults) say(`${each.name.padEnd(16)} ${each.title}`);
  process.exitCode = name === undefined ? 0 : 2;
} else {
  const { boundMs = defaultBoundMs } = fault;
  const processes = createProcesses();
  const giveUp = (why: string) => {
    say(`${fault.name}: FAILED, ${why}`);
    void processes.stop(); // one that sleeps would not end with the channel
    process.exit(1);
  };
  setTimeout(() => giveUp(`it is not over after ${boundMs / 1_000} s`), boundMs).unref();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => giveUp(`it was ended by ${signal}`));
  try {
    say(fault.title);
    const { met, figures, isSkipped = false } = await fault.run({ replicas: createReplicas(processes), processes, say });
    await processes.stop();
    say(`${fault.name}: ${isSkipped ? "skipped" : met ? "passed" : "FAILED"}, ${figures}`);
    process.exitCode = met ? 0 : 1;
  } finally {
    await processes.stop();
  }
}
