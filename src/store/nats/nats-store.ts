import { setTimeout as delay } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { createBackoff } from "../../core/index.ts";
import { check } from "../check.ts";
import type { Store } from "../store.ts";
import { isNotEnabled, isPassing, isRefusal, jetStreamOff, noAnswer, setUpFailure, startFailure } from "./failures.ts";
import { NatsLeases } from "./leases.ts";
import { NatsLink } from "./link.ts";
import { NatsLogs } from "./logs.ts";
import { type NatsSettings, type NatsStoreOptions, resolveNatsOptions } from "./options.ts";
import { checkPayload, checkServerVersion, ensureStream, streamConfigs } from "./streams.ts";
import { createLayout } from "./subjects.ts";

/** A store on NATS. Whoever made it closes it. */
export interface NatsStore extends Store {
  /** Ends the connection at once. What is under way or called later fails with FAILED_PRECONDITION; leases end by themselves. */
  close(): Promise<void>;
}

/**
 * The store for many machines, on NATS JetStream 2.11 or newer: every process with the same `prefix` has the same logs and leases. What
 * was acknowledged is on a majority of `replicas` servers; it survives the loss of the others, and of power when the servers have
 * `sync_interval: always`. The connection is made again for ever, and keeps the process alive until {@link NatsStore.close}.
 *
 * While NATS is away calls are repeated for 20 s and then fail with UNAVAILABLE; watches and waiting readers wait on. Leases count on clocks of the
 * NATS servers that agree to 25 ms; beyond that they may end early by the difference, and the revision still tells who came later. The
 * clocks of the store's own machines do not matter.
 *
 * @throws RangeError for a wrong option; ConnectError FAILED_PRECONDITION when the servers are too old, JetStream is off, the
 *   credentials are refused or streams of these names are somebody else's; UNAVAILABLE when there is no server or no majority in time.
 */
export async function createNatsStore(options: NatsStoreOptions): Promise<NatsStore> {
  const settings = resolveNatsOptions(options);
  const untilMs = performance.now() + settings.connectTimeoutMs;
  const connection = await connectWithin(settings, untilMs);
  try {
    const link = await NatsLink.over(connection);
    const layout = createLayout(settings.prefix);
    await setUp(link, settings, { untilMs, configs: streamConfigs(layout, settings) });
    const [logs, leases] = [new NatsLogs(link, layout), new NatsLeases(link, layout)];
    return {
      durability: settings.replicas > 1 ? "cluster" : "disk",
      append: (log, entries, options = {}) => logs.append(log, entries, options),
      read: (log, from, options = {}) => logs.read(log, from, options),
      trim: (log, before) => logs.trim(log, before),
      logs: (prefix, options = {}) => logs.list(prefix, options),
      lease: async (key, value, term) => leases.lease(key, value, check.term(term)),
      watch: (prefix, { signal }) => leases.watch(prefix, signal),
      async close() {
        const closed = link.close();
        logs.close();
        leases.close();
        await closed;
      },
    };
  } catch (thrown) {
    await connection.close();
    throw thrown;
  }
}

async function connectWithin({ servers, connection }: NatsSettings, untilMs: number): Promise<NatsConnection> {
  const waits = createBackoff({ initialMs: 100, maxMs: 1_000 });
  for (;;) {
    try {
      return await connect({ ...connection, timeout: Math.max(1, Math.ceil(untilMs - performance.now())) });
    } catch (thrown) {
      const waitMs = waits.nextMs();
      if (isRefusal(thrown) || performance.now() + waitMs >= untilMs) throw startFailure(servers, thrown);
      await delay(waitMs);
    }
  }
}

async function setUp(
  link: NatsLink,
  { servers }: NatsSettings,
  { untilMs, configs }: { untilMs: number; configs: ReturnType<typeof streamConfigs> },
): Promise<void> {
  const { version, maxPayloadBytes, hasJetStream } = link.server;
  checkServerVersion(version);
  checkPayload(maxPayloadBytes);
  const waits = createBackoff({ initialMs: 100, maxMs: 1_000 });
  for (;;) {
    try {
      await link.manager.getAccountInfo();
      const outcomes = await Promise.allSettled(configs.map((config) => ensureStream(link.manager, config)));
      const failed = outcomes.find((each) => each.status === "rejected");
      if (failed === undefined) return;
      throw failed.reason;
    } catch (thrown) {
      if (isNotEnabled(thrown) && !hasJetStream) throw jetStreamOff();
      if (!isPassing(thrown)) throw setUpFailure("JetStream", thrown);
      const waitMs = waits.nextMs();
      if (performance.now() + waitMs >= untilMs) throw noAnswer(`JetStream at ${servers.join(", ")}`, thrown);
      await delay(waitMs);
    }
  }
}
