import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../../gen/health/v1/health_pb.js";
import type { Backoff } from "../../core/index.ts";

export interface HealthWatchOptions {
  /** Over the connection that is watched. */
  readonly transport: Transport;
  /** The service to ask for; the empty name stands for the server as a whole. */
  readonly service: string;
  /** Milliseconds until the first answer has to be there. */
  readonly timeoutMs: number;
  readonly backOff: Backoff;
  readonly onHealth: (healthy: boolean, reason: unknown) => void;
}

/**
 * What says nothing of the server's health: it has no health service, or the watch, which carries no caller's credentials, may not ask.
 */
const noAnswers: ReadonlySet<Code> = new Set([Code.Unimplemented, Code.Unauthenticated, Code.PermissionDenied]);

/**
 * Watches the health of one connection by `grpc.health.v1.Health/Watch` (gRFC A17). A watch that ends begins again after a wait; until
 * it is answered the server counts as unhealthy.
 *
 * @returns ends the watch.
 */
export function watchHealth(options: HealthWatchOptions): () => void {
  const stopped = new AbortController();
  void run(options, stopped.signal);
  return () => stopped.abort();
}

async function run(options: HealthWatchOptions, signal: AbortSignal): Promise<void> {
  const { transport, service, timeoutMs, backOff, onHealth } = options;
  const client = createClient(Health, transport);
  const silent = setTimeout(() => onHealth(false, new HealthUnknown(timeoutMs)), timeoutMs).unref();
  try {
    while (!signal.aborted) {
      let reason: unknown = new HealthUnknown(0);
      try {
        for await (const { status } of client.watch({ service }, { signal, timeoutMs: 0 })) {
          clearTimeout(silent);
          backOff.reset();
          if (!signal.aborted) onHealth(status === ServingStatus.SERVING, new NotServing(status));
        }
      } catch (thrown) {
        reason = thrown;
      }
      clearTimeout(silent);
      if (signal.aborted) return;
      const open = noAnswers.has(ConnectError.from(reason).code);
      onHealth(open, reason);
      if (open || !(await wait(backOff.nextMs(), signal))) return;
    }
  } finally {
    clearTimeout(silent);
  }
}

/** @returns false when it was aborted meanwhile. It keeps no process alive. */
function wait(delayMs: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), delayMs).unref();
    const abort = () => {
      clearTimeout(timer);
      resolve(false);
    };
    signal.addEventListener("abort", abort, { once: true });
  });
}

class NotServing extends Error {
  constructor(status: ServingStatus) {
    super(`its health is ${ServingStatus[status] ?? status}`);
  }
}

class HealthUnknown extends Error {
  constructor(timeoutMs: number) {
    super(timeoutMs === 0 ? "its health watch ended" : `its health is not known after ${timeoutMs} ms`);
  }
}
