import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { pino } from "pino";
import {
  type Lease,
  type RegisterRequest,
  RegisterRequestSchema,
  RegistryService,
  type WatchResponse,
} from "../../src/contract/index.ts";
import { createRegistry, type Registry, type RegistryOptions } from "../../src/registry/index.ts";
import { createMemoryStore } from "../../src/store/index.ts";
import {
  type ClosableTransport,
  createListener,
  createRpcHandler,
  createTransport,
  type Listener,
} from "../../src/wire/index.ts";

export type RegistryClient = Client<typeof RegistryService>;

/** A registry on the wire, without agents beside it. */
export interface StartedRegistry {
  readonly url: string;
  readonly port: number;
  readonly registry: Registry;
  readonly client: RegistryClient;
  /** Breaks all connections and listens no more. What it knew is lost. */
  stop(): Promise<void>;
}

const listeners = new Set<Listener>();
const registries = new Set<Registry>();
const transports = new Set<ClosableTransport>();

afterAll(async () => {
  for (const transport of transports) transport.close();
  for (const registry of registries) registry.close();
  await Promise.all([...listeners].map((listener) => listener.close()));
});

/** The header by which tests say who they are; a real server takes it from the certificate. */
const identityHeader = "x-test-identity";

export interface StartOptions extends Partial<RegistryOptions> {
  /** Default: a free one. */
  readonly port?: number;
}

export async function startRegistry({ port = 0, ...options }: StartOptions = {}): Promise<StartedRegistry> {
  const registry = createRegistry({
    store: createMemoryStore(),
    log: pino({ level: "silent" }),
    callerOf: ({ requestHeader }) => requestHeader.get(identityHeader) ?? undefined,
    ...options,
  });
  const { handle } = createRpcHandler({ routes: (router) => router.service(RegistryService, registry.service) });
  const listener = createListener({ onRequest: handle });
  const address = await listener.listen("127.0.0.1", port);
  listeners.add(listener);
  registries.add(registry);
  const url = `http://127.0.0.1:${address.port}`;
  const client = registryClient(url);
  const stop = async () => {
    listeners.delete(listener);
    registry.close();
    await listener.close();
  };
  return { url, port: address.port, registry, client, stop };
}

/** A client of a registry. @param identity who it says that it is. */
export function registryClient(url: string, identity?: string): RegistryClient {
  const transport = createTransport({
    baseUrl: url,
    interceptors: [
      (next) => (request) => {
        if (identity !== undefined) request.header.set(identityHeader, identity);
        return next(request);
      },
    ],
  });
  transports.add(transport);
  return createClient(RegistryService, transport);
}

/** What {@link registration} may say otherwise. */
export interface RegistrationInit {
  readonly name?: string;
  readonly capabilities?: string[];
  readonly version?: string;
  readonly url?: string;
  readonly zone?: string;
  readonly identity?: string;
  readonly contractSha256?: string;
  readonly ttlMs?: number;
  readonly contract?: RegisterRequest["contract"];
}

/** A request to register one agent at one endpoint. */
export function registration(init: RegistrationInit = {}): MessageInitShape<typeof RegisterRequestSchema> {
  const { name = "scheduler", capabilities = ["schedule"], version = "1.2.0", url = "http://10.0.0.1:50051" } = init;
  const { zone = "", identity = "", contractSha256 = "", ttlMs = 60_000, contract } = init;
  return create(RegisterRequestSchema, {
    registration: { agent: { name, capabilities, version }, endpoints: [{ url, zone }], identity, contractSha256 },
    ttl: durationFromMs(ttlMs),
    ...(contract && { contract }),
  });
}

/** Registers, and gives the lease. */
export async function register(client: RegistryClient, init: RegistrationInit = {}): Promise<Lease> {
  const { lease } = await client.register(registration(init));
  if (lease === undefined) throw new Error("Register gives a lease");
  return lease;
}

/** The URLs that a query finds, sorted; none when there are none. */
export async function discoverUrls(
  client: RegistryClient,
  query: Parameters<RegistryClient["discover"]>[0],
): Promise<string[]> {
  const { agents } = await client.discover(query).catch(() => ({ agents: [] }));
  return agents.flatMap((agent) => agent.registration?.endpoints.map(({ url }) => url) ?? []).sort();
}

/** A watch whose events are asked for one by one. */
export function watchRegistry(client: RegistryClient, request: Parameters<RegistryClient["watch"]>[0] = {}) {
  const controller = new AbortController();
  const responses = client.watch(request, { signal: controller.signal })[Symbol.asyncIterator]();
  return {
    async next(): Promise<WatchResponse["event"]> {
      const { value, done } = await responses.next();
      if (done) throw new Error("a watch does not end");
      return value.event;
    },
    stop: () => controller.abort(),
  };
}
