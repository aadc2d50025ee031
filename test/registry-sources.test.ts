import { Code } from "@connectrpc/connect";
import { pino } from "pino";
import { AgentService, RegistryService } from "../src/contract/index.ts";
import {
  type AgentEndpoint,
  contractDifferences,
  contractOf,
  createRegistrar,
  createRegistryLink,
  createRegistrySource,
  createStaticSource,
  type EndpointSource,
  type Registrar,
  type RegistrarOptions,
} from "../src/registry/index.ts";
import { createMemoryStore } from "../src/store/index.ts";
import { register, type StartedRegistry, startRegistry, watchRegistry } from "./support/registry.ts";
import { startServer } from "./support/server.ts";

const closers: (() => unknown)[] = [];

afterAll(async () => {
  for (const close of closers) await close();
});

const quick = { initialMs: 20, maxMs: 50 };

function open(registry: string | string[]): EndpointSource {
  const source = createRegistrySource({ registry, backoff: quick });
  closers.push(() => source.close());
  return source;
}

const urlsOf = (endpoints: readonly AgentEndpoint[] | undefined) => endpoints?.map(({ url }) => url).sort();

/** A watch that gives the sorted URLs each time that they change. */
function watchUrls(source: EndpointSource, query = {}) {
  const controller = new AbortController();
  const lists = source.watch(query, { signal: controller.signal })[Symbol.asyncIterator]();
  return {
    next: async () => urlsOf((await lists.next()).value),
    /** Passes over lists until there is this one. */
    async until(urls: readonly string[]): Promise<void> {
      while (JSON.stringify(await this.next()) !== JSON.stringify(urls));
    },
    stop: () => controller.abort(),
  };
}

function startRegistrar(registry: string | string[], options: Partial<RegistrarOptions> = {}): Registrar {
  const link = createRegistryLink({ registry });
  const registrar = createRegistrar({
    link,
    registration: {
      agent: { $typeName: "agent.v1.AgentCard", name: "scheduler", description: "", capabilities: ["schedule"], version: "" },
      endpoints: [{ $typeName: "agent.v1.Endpoint", url: one, zone: "", weight: 0 }],
      identity: "",
    },
    log: pino({ level: "silent" }),
    ...options,
  });
  closers.push(async () => {
    await registrar.close();
    link.close();
  });
  return registrar;
}

/** Waits until a registry knows of an agent, and gives the revision. */
async function registered({ client }: StartedRegistry): Promise<bigint | undefined> {
  const watch = watchRegistry(client);
  for (;;) {
    const event = await watch.next();
    if (event.case !== "put") continue;
    watch.stop();
    return event.value.lease?.revision;
  }
}

const [one, two] = ["http://10.0.0.1:1", "http://10.0.0.2:1"];

describe("the registry as a source", () => {
  test("gives what is registered, with all that a caller needs", async () => {
    const { url, client } = await startRegistry();
    const contract = contractOf([AgentService]);
    const identity = "spiffe://example.org/scheduler";
    await register(client, { url: one, zone: "a", identity, contractSha256: contract.sha256, contract });
    const source = open(url);
    const [endpoint] = await source.discover({ capability: "schedule", versionRange: "^1.0" });
    expect(endpoint).toEqual({
      ...{ url: one, agent: "scheduler", version: "1.2.0", zone: "a", weight: 1, identity },
      ...{ contractSha256: contract.sha256, load: undefined },
    });
    const served = source.contract(contract.sha256);
    expect(served && contractDifferences(AgentService, served)).toEqual([]);
    expect(served && contractDifferences(RegistryService, served)).toHaveLength(1);
    expect(await source.discover({ capability: "fly" })).toEqual([]);
    await expect(source.discover({ versionRange: "new" })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  test("tells of changes within 200 ms", async () => {
    const { url, client } = await startRegistry();
    const watch = watchUrls(open(url), { capability: "schedule" });
    expect(await watch.next()).toEqual([]);
    const startMs = performance.now();
    await register(client, { url: one });
    await watch.until([one]);
    expect(performance.now() - startMs).toBeLessThan(200);
    const { id: leaseId, revision } = await register(client, { url: two });
    await watch.until([one, two]);
    await client.deregister({ leaseId, revision });
    await watch.until([one]);
    watch.stop();
  });

  test("that was never reached is UNAVAILABLE, and is used as soon as it is there", async () => {
    const { port, stop } = await startRegistry();
    await stop();
    const source = open(`127.0.0.1:${port}`);
    await expect(source.discover({ capability: "schedule" })).rejects.toMatchObject({ code: Code.Unavailable });
    const watch = watchUrls(source, { capability: "schedule" });
    const { client } = await startRegistry({ port });
    expect(await watch.next()).toEqual([]);
    await register(client, { url: one });
    await watch.until([one]);
    expect(urlsOf(await source.discover({ capability: "schedule" }))).toEqual([one]);
    watch.stop();
  });

  test("keeps what it knew while the registry is away, and when it comes back with nothing, for the time of the leases", async () => {
    const first = await startRegistry();
    await register(first.client, { url: one, ttlMs: 60_000 });
    await register(first.client, { url: two, ttlMs: 1_000 });
    const source = open(first.url);
    const watch = watchUrls(source, { capability: "schedule" });
    expect(await watch.next()).toEqual([one, two]);
    await first.stop();
    expect(urlsOf(await source.discover({ capability: "schedule" }))).toEqual([one, two]);
    await startRegistry({ port: first.port });
    expect(await watch.next()).toEqual([one, two]); // it was told of nothing
    const startMs = performance.now();
    await watch.until([one]);
    expect(performance.now() - startMs).toBeLessThan(1_500);
    watch.stop();
  });

  test("believes a registry that comes back with its state", async () => {
    const store = createMemoryStore();
    const first = await startRegistry({ store });
    const { id: leaseId, revision } = await register(first.client, { url: one });
    await register(first.client, { url: two });
    const watch = watchUrls(open(first.url), { capability: "schedule" });
    expect(await watch.next()).toEqual([one, two]);
    await first.client.deregister({ leaseId, revision });
    await first.stop();
    await startRegistry({ port: first.port, store });
    await watch.until([two]);
    watch.stop();
  });

  test("of several addresses uses one that answers, and another when that one goes away", async () => {
    const store = createMemoryStore();
    const [gone, first, second] = [await startRegistry(), await startRegistry({ store }), await startRegistry({ store })];
    await gone.stop();
    const noRegistry = await startServer(); // answers, but is none
    await register(first.client, { url: one });
    const watch = watchUrls(open([gone.url, noRegistry.url, first.url, second.url]), { capability: "schedule" });
    expect(await watch.next()).toEqual([one]);
    await first.stop();
    await register(second.client, { url: two });
    await watch.until([one, two]);
    watch.stop();
  });

  test("is found by a name", async () => {
    const { port, client } = await startRegistry();
    await register(client, { url: one });
    expect(urlsOf(await open(`dns:///localhost:${port}`).discover({ capability: "schedule" }))).toEqual([one]);
    const nowhere = open(`dns:///nowhere.invalid:${port}`);
    await expect(nowhere.discover({})).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("that is closed ends its watches and answers no more", async () => {
    const { url } = await startRegistry();
    const source = open(url);
    const watch = watchUrls(source);
    expect(await watch.next()).toEqual([]);
    const next = watch.next();
    source.close();
    await expect(next).rejects.toMatchObject({ code: Code.Canceled });
    await expect(source.discover({})).rejects.toMatchObject({ code: Code.Canceled });
  });

  test.each(["ftp://registry", "http://registry:1/path", "http://", ""])("%j is no address", (registry) => {
    expect(() => createRegistrySource({ registry })).toThrow(TypeError);
    expect(() => createRegistrySource({ registry: [] })).toThrow(TypeError);
  });
});

describe("a list as a source", () => {
  test("gives what it was given, by capability, name, version and zone", async () => {
    const source = createStaticSource([
      one,
      {
        url: two,
        agent: "scheduler",
        capabilities: ["schedule"],
        version: "1.2.0",
        zone: "a",
        weight: 3,
        identity: "spiffe://a/b",
      },
    ]);
    expect(urlsOf(await source.discover({ capability: "schedule" }))).toEqual([one, two]);
    expect(urlsOf(await source.discover({ capability: "fly" }))).toEqual([one]);
    expect(urlsOf(await source.discover({ capability: "schedule", versionRange: "1.x" }))).toEqual([two]);
    expect((await source.discover({ zone: "a" }))[0]).toMatchObject({ url: two, weight: 3, identity: "spiffe://a/b" });
    const watch = watchUrls(source);
    expect(await watch.next()).toEqual([one, two]);
    const next = watch.next();
    source.close();
    await expect(next).rejects.toMatchObject({ code: Code.Canceled });
  });

  test("refuses what is no endpoint", () => {
    expect(() => createStaticSource(["10.0.0.1:1"])).toThrow(TypeError);
    expect(() => createStaticSource([{ url: "http://10.0.0.1:1/path" }])).toThrow(TypeError);
  });
});

describe("a registrar", () => {
  test("registers, brings the contract that the registry does not know, and tells its load with each renewal", async () => {
    const registry = await startRegistry();
    const contract = contractOf([AgentService]);
    let inFlight = 0;
    startRegistrar(registry.url, { ttlMs: 1_000, contract, load: () => ({ inFlight: ++inFlight, capacity: 9 }) });
    const watch = watchRegistry(registry.client, { includeContracts: true });
    const events = [];
    while (events.length < 3) {
      const event = await watch.next();
      if (event.case !== "snapshotEnd") events.push(event);
    }
    expect(events).toMatchObject([
      { case: "contract", value: { sha256: contract.sha256 } },
      { case: "put", value: { load: { inFlight: 1, capacity: 9 } } },
      { case: "put", value: { lease: {}, load: { capacity: 9 } } }, // a renewal, within half of the time and a second
    ]);
    watch.stop();
  });

  test("holds its lease for as long as it runs, and ends it when it is closed", async () => {
    const registry = await startRegistry();
    const registrar = startRegistrar(registry.url, { ttlMs: 1_000 });
    const revision = await registered(registry);
    const clock = await register(registry.client, { name: "clock", capabilities: [], url: two, ttlMs: 2_000 });
    const watch = watchRegistry(registry.client);
    for (;;) {
      const event = await watch.next(); // nothing else may end while the clock runs
      if (event.case === "delete") {
        expect(event.value.leaseId).toBe(clock.id);
        break;
      }
    }
    expect(registrar.lease?.revision).toBe(revision);
    await registrar.close();
    expect(await watch.next()).toMatchObject({ case: "delete" });
    expect(registry.registry.size).toBe(0);
    watch.stop();
  });

  test("comes back by itself when the registry has begun anew", async () => {
    const first = await startRegistry();
    startRegistrar(first.url, { ttlMs: 1_000 });
    await registered(first);
    await first.stop();
    await registered(await startRegistry({ port: first.port }));
  });

  test("begins before there is a registry", async () => {
    const first = await startRegistry();
    await first.stop();
    startRegistrar(first.url, { ttlMs: 1_000 });
    await registered(await startRegistry({ port: first.port }));
  });

  test("whose place another took, takes it again when that one's lease has ended, and not before", async () => {
    const registry = await startRegistry();
    startRegistrar(registry.url, { ttlMs: 1_000 });
    await registered(registry);
    const watch = watchRegistry(registry.client);
    const other = await register(registry.client, { url: one, ttlMs: 1_500 });
    let ended = false;
    for (;;) {
      const event = await watch.next();
      if (event.case === "delete") ended ||= event.value.revision >= other.revision;
      if (event.case === "put" && (event.value.lease?.revision ?? 0n) > other.revision) break;
    }
    expect(ended).toBe(true);
    watch.stop();
  });

  test("closes also when there is no registry", async () => {
    const { url, stop } = await startRegistry();
    await stop();
    await startRegistrar(url).close();
  });
});
