import { DiscardPolicy, type JetStreamManager, RetentionPolicy, StorageType, type StreamConfig } from "@nats-io/jetstream";
import { failedPrecondition } from "../../core/index.ts";
import { isNoStream, isPassing, setUpFailure } from "./failures.ts";
import type { NatsSettings } from "./options.ts";
import { type Layout, logStreams } from "./subjects.ts";

/** The version of what is written to streams. */
const format = "1";

type Config = Pick<StreamConfig, "name"> & Partial<StreamConfig>;

/** What the store's streams have to be. */
export function streamConfigs(layout: Layout, { replicas, maxBytes }: Pick<NatsSettings, "replicas" | "maxBytes">): Config[] {
  const common = {
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New, // what is full refuses; the old is not to go by itself
    num_replicas: replicas,
    allow_direct: true,
    allow_msg_ttl: true,
    metadata: { "convoke-format": format },
  };
  const logs = Array.from({ length: logStreams }, (_, shard): Config => {
    const { subject, told } = layout.logSubjects(shard);
    return {
      ...common,
      name: layout.logStream(shard),
      subjects: [subject],
      republish: { src: subject, dest: told },
      ...(maxBytes !== undefined && { max_bytes: Math.floor(maxBytes / logStreams) }),
    };
  });
  const { subject, told } = layout.leaseSubjects;
  const leases = {
    ...common,
    name: layout.leases,
    subjects: [subject],
    republish: { src: subject, dest: told },
    max_msgs_per_subject: 1,
  };
  return [...logs, leases];
}

/** The stream that is wanted: found, or made. @throws ConnectError FAILED_PRECONDITION when there is another of its name. */
export async function ensureStream(manager: JetStreamManager, config: Config): Promise<void> {
  const what = `stream "${config.name}"`;
  try {
    const found = await find(manager, config.name);
    const difference = differenceOf(config, found ?? (await manager.streams.add(config)).config);
    if (difference === undefined) return;
    const description = `${what} is not as this store needs it: ${difference}; choose another prefix, or change the stream`;
    throw failedPrecondition({ type: "NATS_STREAM", subject: config.name, description });
  } catch (thrown) {
    if (isPassing(thrown)) throw thrown;
    throw setUpFailure(what, thrown);
  }
}

async function find(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (thrown) {
    if (isNoStream(thrown)) return undefined;
    throw thrown;
  }
}

/** What is otherwise than it must be, in words. */
export function differenceOf(wanted: Config, found: Partial<StreamConfig>): string | undefined {
  if (found.metadata?.["convoke-format"] !== format) return `it is not marked as a Convoke store of format ${format}`;
  if ((found.num_replicas ?? 1) < (wanted.num_replicas ?? 1)) {
    return `it has ${found.num_replicas} replicas and not ${wanted.num_replicas}`;
  }
  const fixed = ["retention", "storage", "discard", "allow_direct", "allow_msg_ttl", "subjects"] as const;
  for (const name of fixed) {
    const [is, should] = [JSON.stringify(found[name]), JSON.stringify(wanted[name])];
    if (is !== should) return `${name} is ${is} and not ${should}`;
  }
  const { src, dest } = found.republish ?? {};
  if (src !== wanted.republish?.src || dest !== wanted.republish?.dest) return "it does not tell of what it stores";
  const [is, should] = [found.max_msgs_per_subject ?? -1, wanted.max_msgs_per_subject ?? -1];
  if (is !== should) return `max_msgs_per_subject is ${is} and not ${should}`;
  const age = found.max_age ?? 0;
  return age === 0 ? undefined : `max_age is ${age} and not 0`;
}

/** The least version of a server: older ones take a key's time to live without a word and ignore it. */
const leastVersion = [2, 11] as const;

/** @throws ConnectError FAILED_PRECONDITION for a server that is too old. */
export function checkServerVersion(version: string): void {
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  const [leastMajor, leastMinor] = leastVersion;
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return;
  const description = `the NATS server has version ${version}; 2.11 is the least, older ones ignore when messages are to go`;
  throw failedPrecondition({ type: "NATS_VERSION", subject: version, description });
}

/** @throws ConnectError FAILED_PRECONDITION for a server that takes only small messages. */
export function checkPayload(maxPayloadBytes: number): void {
  const least = 2 * 64 * 1024;
  if (maxPayloadBytes >= least) return;
  const description = `the NATS server's max_payload is ${maxPayloadBytes} bytes; ${least} is the least`;
  throw failedPrecondition({ type: "NATS_LIMITS", subject: "max_payload", description });
}
