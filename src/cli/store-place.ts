import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Command, Option } from "commander";
import { createNatsStore, createSqliteStore, type NatsCredentials, type NatsStore, type SqliteStore } from "../store/index.ts";
import { UsageError } from "./failure.ts";
import { parseWholeNumber } from "./whole-number.ts";

/** The options that say where a server keeps what has to outlive it. */
export interface StoreFlags {
  /** False, and "none": nowhere. */
  readonly data?: string | false;
  readonly store?: string;
  readonly natsCreds?: string;
  readonly natsReplicas?: number;
  readonly natsPrefix?: string;
}

/** An open store. */
export interface StorePlace {
  readonly store: SqliteStore | NatsStore;
  /** Where that is, for people, with "in" or "on". */
  readonly where: string;
}

/** The file in the folder that `--data` names. */
const fileName = "convoke.db";

/** Adds them, so that they read the same in every command. @param defaultFolder where it is kept when nothing is said. Default: nowhere. */
export function withStore(command: Command, defaultFolder?: string): Command {
  const data = new Option(
    "--data <folder>",
    `a folder to keep it in, in the file ${fileName} (SQLite), which servers of this machine may share; "none" keeps it in memory`,
  ).env("CONVOKE_DATA");
  command.addOption(defaultFolder === undefined ? data : data.default(defaultFolder));
  if (defaultFolder !== undefined) command.option("--no-data", "keep it in memory: it ends with the process");
  return command
    .option(
      "--store <address>",
      "keep it on NATS JetStream instead: nats://host:4222, or tls://…; more servers of the cluster after commas",
    )
    .addOption(
      new Option(
        "--nats-creds <file>",
        `who this is to NATS (env, instead: ${userVariable} and ${passwordVariable}, or ${tokenVariable})`,
      ).env("CONVOKE_NATS_CREDS"),
    )
    .option("--nats-replicas <number>", "how many servers of NATS keep each entry, 1 to 5 (default: 3)", parseWholeNumber)
    .option("--nats-prefix <name>", "begins the names of streams: servers with one prefix share one store (default: convoke)");
}

/**
 * Opens what the options name; undefined when everything stays in memory.
 *
 * @throws UsageError when it cannot be a store; ConnectError when it is away (UNAVAILABLE) or damaged (DATA_LOSS).
 */
export async function openStorePlace(command: Command): Promise<StorePlace | undefined> {
  const flags = command.opts<StoreFlags>();
  const { data = false, store } = flags;
  if (store !== undefined) {
    if (data !== false && command.getOptionValueSource("data") === "cli") {
      throw new UsageError("--data and --store are two places to keep the same; name one");
    }
    return await openNats(store, flags);
  }
  const needless = (["natsCreds", "natsReplicas", "natsPrefix"] as const).find(
    (name) => command.getOptionValueSource(name) === "cli",
  );
  if (needless !== undefined) throw new UsageError("--nats-… options are about NATS; --store nats://host:4222 names it");
  if (data === false || data === "none") return undefined;
  if (data.trim() === "") throw new UsageError("--data names no folder; write --data none to keep everything in memory");
  return await openFolder(data);
}

async function openFolder(folder: string): Promise<StorePlace> {
  const path = join(folder, fileName);
  const hint = "--data names another folder, and --data none keeps everything in memory";
  return { store: await opened(createSqliteStore({ path }), hint), where: `in ${path}` };
}

async function openNats(address: string, { natsCreds, natsReplicas, natsPrefix }: StoreFlags): Promise<StorePlace> {
  const servers = serversOf(address);
  const credentials = natsCredentials(natsCreds);
  const opening = createNatsStore({
    servers,
    ...(credentials && { credentials }),
    ...(natsReplicas !== undefined && { replicas: natsReplicas }),
    ...(natsPrefix !== undefined && { prefix: natsPrefix }),
  });
  return { store: await opened(opening), where: `on NATS at ${servers.join(", ")}` };
}

/** The address is not repeated in what is thrown: it may hold a password. */
function serversOf(address: string): string[] {
  const [, scheme = "", rest = ""] = /^(nats|tls):\/\/(.+)$/.exec(address) ?? [];
  const servers = rest.split(",").map((server) => server.replace(`${scheme}://`, "").trim());
  if (rest.includes("@")) {
    const instead = `${userVariable} and ${passwordVariable}, ${tokenVariable}, or --nats-creds`;
    throw new UsageError(`--store takes no credentials, which others could read; give them by ${instead}`);
  }
  if (scheme === "" || servers.some((server) => !/^[^/@\s]+$/.test(server))) {
    throw new UsageError("--store is no address; write nats://host:4222, or several with commas between them");
  }
  return servers.map((server) => `${scheme}://${server}`);
}

const userVariable = "CONVOKE_NATS_USER";
const passwordVariable = "CONVOKE_NATS_PASSWORD";
const tokenVariable = "CONVOKE_NATS_TOKEN";

function natsCredentials(file: string | undefined): NatsCredentials | undefined {
  if (file !== undefined) return { file };
  const { [userVariable]: user = "", [passwordVariable]: password = "", [tokenVariable]: token = "" } = process.env;
  if ((user === "") !== (password === "")) throw new UsageError(`${userVariable} and ${passwordVariable} belong together`);
  if (user !== "") return { user, password };
  return token === "" ? undefined : { token };
}

/** A store that cannot be one is the mistake of who named it. */
async function opened<T>(opening: Promise<T>, hint?: string): Promise<T> {
  try {
    return await opening;
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new UsageError(thrown.message);
    if (!(thrown instanceof ConnectError)) throw thrown;
    const { rawMessage, code } = thrown;
    if (code === Code.FailedPrecondition) throw new UsageError(hint === undefined ? rawMessage : `${rawMessage}; ${hint}`);
    throw new ConnectError(rawMessage, code); // without its cause, which would be taken for the failure of a call
  }
}
