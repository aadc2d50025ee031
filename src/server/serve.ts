import type { ConnectRouter } from "@connectrpc/connect";
import type { Logger } from "pino";
import { AgentService as FirstAgentService } from "../../gen/agent/agent_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { Health as HealthService } from "../../gen/health/v1/health_pb.js";
import { type Agent, cardOf } from "../agent/index.ts";
import type { RegistryOptions } from "../client/index.ts";
import { AgentService, MemoryService, RegistryService } from "../contract/index.ts";
import { type Limits, resolveLimits } from "../core/index.ts";
import type { Memory } from "../memory/index.ts";
import type { Registry } from "../registry/index.ts";
import type { Durability, Store } from "../store/index.ts";
import { drainingError, TaskRuntime } from "../task/index.ts";
import { createLogger, type LogOptions } from "../telemetry/index.ts";
import { type CorsOptions, createListener, createRpcHandler, type RpcHandler, type TlsOptions } from "../wire/index.ts";
import { type AccessOptions, createAccess } from "./access.ts";
import { createAgentService } from "./agent-service.ts";
import { createCallLog } from "./calls.ts";
import { createElsewhere, type Elsewhere } from "./elsewhere.ts";
import { createFirstContract } from "./first-contract.ts";
import { createFront } from "./front.ts";
import { createHealth, type Health } from "./health.ts";
import { keepingOf } from "./keeping.ts";
import { createServerMemory, type MemoryServeOptions } from "./memory-service.ts";
import { createPage, type PageHandler } from "./page.ts";
import { startProbes } from "./probes.ts";
import { createReflection } from "./reflection.ts";
import { createRegistration, type RegisterOptions, type ServerRegistration } from "./registration.ts";
import { createServerRegistry, type RegistryServeOptions } from "./registry-service.ts";
import { closeOnSignals } from "./signals.ts";
import { currentOf, followFiles, type MaybeWatched } from "./watched.ts";

export interface ServeOptions {
  /** The agents, with distinct names; at least one, unless the server is a registry or has `memory`. The first answers calls that name none. */
  readonly agents: readonly Agent[];
  /** Default 50051; 0 picks a free port. */
  readonly port?: number;
  /** The address to bind. Default `127.0.0.1`: callers are anonymous, so reach beyond this machine is a choice to make. */
  readonly host?: string;
  /**
   * Another port on the same host, in clear text, for probes: `grpc.health.v1.Health`, `GET /livez` and `GET /readyz`, and nothing else.
   * It is there until the last call is over. 0 picks a free one. Default: none; health is on the main port too.
   */
  readonly probePort?: number;
  /**
   * Serves TLS (1.3), HTTP/2 and HTTP/1.1 by ALPN. With what `watchCertificates` gives, new connections get the certificates that the files
   * hold then, and those that live go on; what is wrong with a new file is logged. Default: clear text, both versions.
   */
  readonly tls?: MaybeWatched<TlsOptions>;
  /** Who may call. Default: everybody, as anonymous. */
  readonly access?: AccessOptions;
  /**
   * Where tasks are kept; threads and registrations too, unless {@link ServeOptions.memory} and {@link ServeOptions.registry} name stores of their
   * own. Servers that share a store answer for each other's tasks. Whoever made it closes it, after the server. Default: in this process, whose end
   * they do not survive, and within bounds of memory.
   */
  readonly store?: Store;
  /**
   * What an event has to survive before it is delivered: `memory`, `disk` or `cluster`; at most what the store gives. Default: what the store gives.
   */
  readonly durability?: Durability;
  /** Bounds that differ from the defaults. */
  readonly limits?: Partial<Limits>;
  /** Web pages of other origins that may call. Default: none. */
  readonly cors?: CorsOptions;
  /** Registers other Connect services on the same port. */
  readonly services?: (router: ConnectRouter) => void;
  /** Serves a registry on the same port, in which agents register and are found. Default false. */
  readonly registry?: boolean | RegistryServeOptions;
  /**
   * Serves shared memory on the same port: threads that all callers of the server read and append to, as far as `access` lets them. Default: when
   * there are agents.
   */
  readonly memory?: boolean | MemoryServeOptions;
  /** Registers every agent, renews while the server runs and ends it when the server drains. Default: agents are not registered. */
  readonly register?: RegisterOptions;
  /**
   * Where `ctx.agents` finds agents that this server has not got, as `connect` takes it. Default: the registry that the server registers at,
   * with the same certificates, or its own; false finds none.
   */
  readonly discover?: RegistryOptions | false;
  /** A logger, or how to make one. Default: to stderr, level info. */
  readonly log?: Logger | LogOptions;
  /** Serves the page at `GET /`. Default: when there are agents. */
  readonly page?: boolean;
  /** Closes on SIGTERM and SIGINT and then exits 0. Default true; false leaves signals to the program. */
  readonly signals?: boolean;
}

/** A server that listens. */
export interface Server {
  /** Scheme, host and port to call. */
  readonly url: string;
  readonly port: number;
  /** Undefined without {@link ServeOptions.probePort}. */
  readonly probePort: number | undefined;
  /**
   * Drains, then stops: registrations are ended; health turns NOT_SERVING, peers get GOAWAY, new tasks UNAVAILABLE; calls in flight have `graceMs`
   * (default: the limit `drainGraceMs`) to finish, then end with UNAVAILABLE. Calling it again waits for the same end.
   */
  close(options?: { graceMs?: number }): Promise<void>;
}

/**
 * Serves agents on one port: gRPC, gRPC-Web and Connect over HTTP/2 and HTTP/1.1, with health and reflection.
 *
 * @throws TypeError for agents that are missing or share a name and for addresses that are none, RangeError for a wrong limit, and the bind error (EADDRINUSE …).
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const limits = resolveLimits(options.limits);
  const log = isLogger(options.log) ? options.log : createLogger(options.log);
  const parts = createParts(options, limits, log);
  const { host = "127.0.0.1", port = 50051, probePort, tls } = options;
  const onRequest = createFront({ ...parts, limits, cors: options.cors ?? { origins: [] }, host });
  const listener = createListener({ limits, onRequest, ...(tls && { tls: currentOf(tls) }) });
  const address = await listener.listen(host, port);
  const probes = await startProbes({ host, port: probePort, limits, health: parts.health }).catch(async (thrown: unknown) => {
    await listener.close();
    throw thrown;
  });
  const unfollow = followFiles(options, listener, log);
  const url = `${tls === undefined ? "http" : "https"}://${displayHost(host)}:${address.port}`;
  log.info({ url, agents: options.agents.map((agent) => agent.name), probePort: probes.port }, "serving");
  parts.elsewhere.begin(url);
  parts.registration?.begin(url, host);

  let closing: Promise<void> | undefined;
  const close = async (graceMs: number) => {
    log.info({ calls: listener.inFlight, tasks: parts.runtime.runningCount, graceMs }, "draining");
    await within(stopMs, parts.registration?.end() ?? Promise.resolve()); // first, so that nobody is sent here any more
    parts.drain();
    const drained = listener.drain();
    const idle = () => Promise.all([listener.idle(), parts.runtime.idle()]);
    if (!(await within(graceMs, idle()))) {
      parts.stop();
      await within(stopMs, idle());
    }
    await within(stopMs, parts.runtime.release());
    parts.elsewhere.close();
    await within(stopMs, drained); // the last answers are on their way
    unfollow();
    await listener.close();
    await probes.close();
    parts.registry?.close();
    parts.memory?.close();
    log.info("stopped");
  };
  const server: Server = {
    url,
    port: address.port,
    probePort: probes.port,
    close({ graceMs = limits.drainGraceMs } = {}) {
      closing ??= close(graceMs);
      return closing;
    },
  };
  if (options.signals ?? true) closeOnSignals(() => server.close());
  return server;
}

/** Time for the end of registrations, and for the last errors to reach their callers once the grace time is over. */
const stopMs = 1_000;

interface Parts {
  readonly rpc: RpcHandler;
  readonly page: PageHandler | undefined;
  readonly health: Health;
  readonly runtime: TaskRuntime;
  readonly registry: Registry | undefined;
  readonly memory: Memory | undefined;
  readonly registration: ServerRegistration | undefined;
  readonly elsewhere: Elsewhere;
  /** Refuses what is new and ends what only waits. */
  drain(): void;
  /** Ends what is still at work. */
  stop(): void;
}

function createParts(options: ServeOptions, limits: Limits, log: Logger): Parts {
  const agents = checkAgents(options);
  const { store } = options;
  const access = createAccess(options.access);
  const registry = createServerRegistry(options.registry, { access, log, store });
  const memory = createServerMemory(options.memory ?? agents.length > 0, { access, log, limits, store });
  const elsewhere = createElsewhere({ ...options, hasRegistry: registry !== undefined });
  const runtime = new TaskRuntime(
    { agents, limits, log, elsewhere: elsewhere.agents, threads: memory?.threads },
    keepingOf(options),
  );
  const idle = new AbortController();
  const shutdown = new AbortController();
  const service = { runtime, access, idle: idle.signal };
  const health = createHealth(() => rpc.services.map((service) => service.typeName));
  const reflection = createReflection(() => rpc.services);
  const rpc = createRpcHandler({
    limits,
    onCallEnd: createCallLog(log),
    shutdownSignal: shutdown.signal,
    ...(access.requestGate && { requestGate: access.requestGate }),
    ...(access.contextValues && { contextValues: access.contextValues }),
    routes(router) {
      if (agents.length > 0) {
        router.service(AgentService, createAgentService(service));
        router.service(FirstAgentService, createFirstContract(createAgentService({ ...service, isFirstContract: true })));
      }
      if (registry !== undefined) router.service(RegistryService, registry.service);
      if (memory !== undefined) router.service(MemoryService, memory.service);
      router.service(HealthService, health.service);
      router.service(ServerReflection, reflection.v1);
      router.service(ServerReflectionAlpha, reflection.v1alpha);
      options.services?.(router);
    },
  });
  const load = () => ({ inFlight: runtime.runningCount, capacity: limits.maxRunningTasks });
  const registered = { agents, services: rpc.services, load, hasRegistry: registry !== undefined, log };
  return {
    rpc,
    health,
    runtime,
    registry,
    memory,
    elsewhere,
    registration: options.register && createRegistration(options.register, registered),
    page: (options.page ?? agents.length > 0) ? createPage(agents.map(cardOf)) : undefined,
    drain() {
      health.drain();
      runtime.close(drainingError());
      idle.abort(drainingError());
      registry?.drain(drainingError());
      memory?.drain(drainingError());
    },
    stop() {
      runtime.stopAll(drainingError());
      shutdown.abort(drainingError());
    },
  };
}

function checkAgents({ agents, registry = false, memory = false }: ServeOptions): readonly Agent[] {
  if (agents.length === 0 && registry === false && memory === false)
    throw new TypeError("serve needs at least one agent: serve({ agents: [defineAgent({ … })] })");
  const names = agents.map((agent) => agent.name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new TypeError(`two agents are named "${repeated}"; names must be distinct`);
  return agents;
}

function isLogger(log: Logger | LogOptions | undefined): log is Logger {
  return log !== undefined && "child" in log;
}

/** The name by which this machine can call an address that stands for all of its own. */
function displayHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}

async function within(timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const inTime = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
}
