import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { type ConnectionOptions, connect } from "@nats-io/transport-node";
import type { NatsStoreOptions } from "../../src/store/index.ts";

/** Servers of NATS that the tests have started, each with a folder of its own. */
export interface NatsCluster {
  /** Where clients connect, `host:port`, by server. */
  readonly servers: readonly string[];
  /** The server that leads a stream. */
  leaderOf(stream: string): Promise<number>;
  /** Ends a server at once, as kill -9 does. */
  kill(server: number): Promise<void>;
  /** Starts it again, with what its disk holds, and waits until it answers. */
  start(server: number): Promise<void>;
  /** Deletes the streams whose names begin so: what nobody uses costs the others time. */
  deleteStreams(prefix: string): Promise<void>;
  stop(): Promise<void>;
}

interface NatsClusterOptions {
  /** Default 3. */
  readonly size?: number;
  /** More of the servers' configuration. Default: none. */
  readonly config?: string;
  /** Without, they are servers that have no streams. Default true. */
  readonly jetStream?: boolean;
  /** How the tests themselves come in, when the configuration asks. */
  readonly credentials?: NatsStoreOptions["credentials"];
  readonly tls?: ConnectionOptions["tls"];
}

/** How long a cluster may take until it has a leader. */
const startTimeoutMs = 25_000;

/** Starts a cluster of nats-server on loopback that writes through to the disk, and waits until it has a leader. */
export async function startNats(program: string, options: NatsClusterOptions = {}): Promise<NatsCluster> {
  const { size = 3, config = "", jetStream = true } = options;
  const folder = await mkdtemp(join(tmpdir(), "convoke-nats-"));
  const ports = await freePorts(2 * size);
  const clientPort = (server: number) => ports[server] ?? 0;
  const routes = ports.slice(size).map((port) => `nats://127.0.0.1:${port}`);
  const processes: (ChildProcess | undefined)[] = [];
  const servers = Array.from({ length: size }, (_, server) => `127.0.0.1:${clientPort(server)}`);
  for (let server = 0; server < size; server++) {
    const lines = [
      `server_name: s${server}`,
      `listen: "${servers[server]}"`,
      jetStream
        ? `jetstream { store_dir: "${join(folder, `s${server}`)}", sync_interval: always, max_file: 4G, max_mem: 64M }`
        : "",
      size > 1
        ? `cluster { name: tests, listen: "127.0.0.1:${ports[size + server]}", no_advertise: true, routes: [${routes.join(", ")}] }`
        : "",
      config,
    ];
    await writeFile(join(folder, `s${server}.conf`), lines.join("\n"));
  }
  const launch = (server: number) => {
    processes[server] = spawn(program, ["-c", join(folder, `s${server}.conf`)], { stdio: "ignore" });
  };
  const kill = async (server: number) => {
    const child = processes[server];
    processes[server] = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "close");
  };
  const withManager = async <T>(use: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>, at = servers) => {
    const connection = await connect({ servers: [...at], timeout: 5_000, ...access(options) });
    try {
      return await use(await jetstreamManager(connection, { timeout: 5_000 }));
    } finally {
      await connection.close();
    }
  };
  for (let server = 0; server < size; server++) launch(server);
  if (jetStream) await untilIt(async () => withManager(async (manager) => void (await manager.getAccountInfo())));
  return {
    servers,
    leaderOf: (stream) =>
      untilIt(() =>
        withManager(async (manager) => {
          const leader = /^s(\d+)$/.exec((await manager.streams.info(stream)).cluster?.leader ?? "")?.[1];
          if (leader === undefined) throw new Error(`${stream} has no leader`);
          return Number(leader);
        }),
      ),
    kill,
    async start(server) {
      launch(server);
      await untilIt(() => withManager(async () => {}, [servers[server] ?? ""]));
    },
    deleteStreams: (prefix) =>
      untilIt(() =>
        withManager(async (manager) => {
          for await (const name of manager.streams.names()) if (name.startsWith(prefix)) await manager.streams.delete(name);
        }),
      ),
    async stop() {
      await Promise.all(processes.map((_, server) => kill(server)));
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

function access({ credentials, tls }: NatsClusterOptions): ConnectionOptions {
  const user = credentials !== undefined && "user" in credentials ? { user: credentials.user, pass: credentials.password } : {};
  const token = credentials !== undefined && "token" in credentials ? { token: credentials.token } : {};
  return { ...user, ...token, ...(tls !== undefined && { tls }) };
}

/** Tries until it succeeds, or the time of a start is over. */
async function untilIt<T>(attempt: () => Promise<T>): Promise<T> {
  for (const endMs = performance.now() + startTimeoutMs; ; await delay(100)) {
    try {
      return await attempt();
    } catch (thrown) {
      if (performance.now() > endMs) throw thrown;
    }
  }
}

/** Ports that are free now: a configuration that names its neighbours cannot leave the choice to each. */
async function freePorts(count: number): Promise<number[]> {
  const holders = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const holder of holders) {
    holder.listen(0, "127.0.0.1");
    await once(holder, "listening");
    ports.push((holder.address() as AddressInfo).port); // it listens at a port
  }
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return ports;
}
