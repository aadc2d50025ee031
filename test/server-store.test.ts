import { create } from "@bufbuild/protobuf";
import { type DiscoverResponse, RegistrationSchema } from "../src/contract/index.ts";
import { type Agents, Code, ConnectError, connect, createMemoryStore, type ServeOptions, type Server } from "../src/index.ts";
import { registryClient } from "./support/registry.ts";
import { startServer } from "./support/server.ts";

const clients: Agents[] = [];

afterAll(() => {
  for (const client of clients) client.close();
});

/** Two servers with the same options, and their clients. */
async function startTwo(options: Partial<ServeOptions>) {
  const servers: [Server, Server] = [await startServer(options), await startServer(options)];
  const agents = servers.map(({ url }) => connect(url)) as [Agents, Agents]; // as many as there are servers
  clients.push(...agents);
  return { servers, agents };
}

async function knows({ url }: Server, agent: string): Promise<boolean> {
  const found = await registryClient(url).discover({ agent }).catch(ifNotFound);
  return found.agents.length > 0;
}

function ifNotFound(thrown: unknown): Pick<DiscoverResponse, "agents"> {
  if (ConnectError.from(thrown).code === Code.NotFound) return { agents: [] };
  throw thrown;
}

const registration = create(RegistrationSchema, { agent: { name: "far" }, endpoints: [{ url: "http://10.0.0.1:50051" }] });

test("one store keeps tasks, threads and registrations, for all servers that have it", async () => {
  const { servers, agents } = await startTwo({ store: createMemoryStore(), registry: true });
  const [one, other] = agents;
  await one.process({ taskId: "t", content: "hello" });
  expect((await other.get("t")).response?.content).toBe("hello ");
  await one.memory("plan").append("Tuesday");
  expect(await other.memory("plan").length()).toBe(1);
  await registryClient(servers[0].url).register({ registration });
  expect(await knows(servers[1], "far")).toBe(true);
});

test("memory and registry may have stores of their own", async () => {
  const [store, threads, leases] = [createMemoryStore(), createMemoryStore(), createMemoryStore()];
  const { servers, agents } = await startTwo({ store, memory: { store: threads }, registry: { store: leases } });
  await agents[0].memory("plan").append("Tuesday");
  await registryClient(servers[0].url).register({ registration });
  expect(await knows(servers[1], "far")).toBe(true);
  expect(await agents[1].memory("plan").length()).toBe(1);
  expect((await store.logs("")).length).toBe(0);
  expect((await threads.logs("")).map(({ name }) => name)).toEqual(["thread/plan"]);
});

test("without a store each server has its own", async () => {
  const { servers, agents } = await startTwo({ registry: true });
  await agents[0].process({ taskId: "t", content: "hello" });
  await expect(agents[1].get("t")).rejects.toThrow(/there is no task "t"/);
  await agents[0].memory("plan").append("Tuesday");
  expect(await agents[1].memory("plan").length()).toBe(0);
  await registryClient(servers[0].url).register({ registration });
  expect(await knows(servers[1], "far")).toBe(false);
});
