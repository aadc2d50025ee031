import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../gen/health/v1/health_pb.js";
import { AgentService, RegistryService } from "../src/contract/index.ts";
import { connect, createRegistrySource, type Server } from "../src/index.ts";
import { contractDifferences } from "../src/registry/index.ts";
import { type ClosableTransport, createTransport } from "../src/wire/index.ts";
import { createGate, echo } from "./support/agents.ts";
import { createCertificate } from "./support/certificate.ts";
import { registryClient, watchRegistry } from "./support/registry.ts";
import { startServer } from "./support/server.ts";

const transports = new Set<ClosableTransport>();

afterAll(() => {
  for (const transport of transports) transport.close();
});

/** Waits until a registry tells of an agent, and gives the event. */
async function told({ url }: Server, name = "") {
  const watch = watchRegistry(registryClient(url), { agent: name });
  for (;;) {
    const event = await watch.next();
    if (event.case !== "put") continue;
    watch.stop();
    return event;
  }
}

test("a registry alone serves RegistryService with health, and no agents", async () => {
  const server = await startServer({ agents: [], registry: true });
  const transport = createTransport({ baseUrl: server.url });
  transports.add(transport);
  const { status } = await createClient(Health, transport).check({ service: RegistryService.typeName });
  expect(status).toBe(ServingStatus.SERVING);
  await expect(createClient(AgentService, transport).processTask({ content: "hello" })).rejects.toThrow(/no service/);
  await expect(startServer({ agents: [] })).rejects.toThrow(TypeError);
});

test("every agent of a server is found at its address, with its contract, and called there", async () => {
  const registry = await startServer({ agents: [], registry: true });
  const server = await startServer({ register: { registry: registry.url, zone: "a", version: "1.0.0" } });
  await Promise.all(["echo", "failing", "asking", "remembering"].map((name) => told(registry, name)));
  const source = createRegistrySource({ registry: registry.url });
  const [endpoint] = await source.discover({ capability: "echo", versionRange: "1.x" });
  expect(endpoint).toMatchObject({ url: server.url, agent: "echo", zone: "a", load: { inFlight: 0, capacity: 10_000 } });
  const served = source.contract(endpoint?.contractSha256 ?? "");
  expect(served && contractDifferences(AgentService, served)).toEqual([]);
  expect(served?.getService(RegistryService.typeName)).toBeUndefined();
  source.close();
  const agents = connect(endpoint?.url ?? "").agent("echo");
  expect((await agents.process("hello")).content).toBe("hello ");
  agents.close();
});

test("a server registers at its own registry when no other is named", async () => {
  const server = await startServer({ agents: [echo], registry: true, register: {} });
  expect(await told(server, "echo")).toMatchObject({
    value: { registration: { endpoints: [{ url: server.url }] } },
  });
  await server.close();
});

test("a server that drains is out of the registry while its last tasks still run", async () => {
  const registry = await startServer({ agents: [], registry: true });
  const { agent, open, running } = createGate();
  const server = await startServer({ agents: [agent], register: { registry: registry.url } });
  const watch = watchRegistry(registryClient(registry.url));
  while ((await watch.next()).case !== "put");
  const agents = connect(server.url);
  const answer = agents.process("work");
  await running;
  const closed = server.close();
  while ((await watch.next()).case !== "delete");
  watch.stop();
  open();
  expect((await answer).content).toBe("first second");
  await closed;
  agents.close();
});

test("a registry that drains ends its watches, and waits for none", async () => {
  const registry = await startServer({ agents: [], registry: true });
  const watch = watchRegistry(registryClient(registry.url));
  expect(await watch.next()).toMatchObject({ case: "snapshotEnd" });
  const ended = expect(watch.next()).rejects.toThrow(/shutting down/);
  const startMs = performance.now();
  await registry.close();
  expect(performance.now() - startMs).toBeLessThan(5_000);
  await ended;
});

test("over TLS, with the authority to trust", async () => {
  const tls = await createCertificate();
  const registry = await startServer({ agents: [], registry: true, tls });
  const address = { registry: registry.url, tls: { ca: tls.cert } };
  await startServer({ agents: [echo], register: address });
  const source = createRegistrySource(address);
  const watch = source.watch({ capability: "echo" }, { signal: new AbortController().signal });
  for await (const endpoints of watch) if (endpoints.length === 1) break;
  source.close();
});

test("outside the ranges that the registry allows nobody is found, and the server serves on", async () => {
  const registry = await startServer({ agents: [], registry: { allow: ["10.0.0.0/8"] } });
  const server = await startServer({ agents: [echo], register: { registry: registry.url } });
  await startServer({ agents: [echo], register: { registry: registry.url, endpoint: "http://10.0.0.1:1" } });
  expect(await told(registry)).toMatchObject({ value: { registration: { endpoints: [{ url: "http://10.0.0.1:1" }] } } });
  const agents = connect(server.url);
  expect((await agents.process("hello")).content).toBe("hello ");
  agents.close();
});

test.each<[what: string, options: object, error: new () => Error]>([
  ["no registry", { register: {} }, TypeError],
  ["a registry that is none", { register: { registry: "ftp://registry" } }, TypeError],
  ["an endpoint that is none", { register: { registry: "localhost:1", endpoint: "here" } }, TypeError],
  ["a time that is too short", { register: { registry: "localhost:1", ttlMs: 10 } }, RangeError],
  ["ranges that are none", { registry: { allow: ["all"] } }, RangeError],
])("%s is refused before anything is served", async (_, options, error) => {
  await expect(startServer(options)).rejects.toThrow(error);
});
