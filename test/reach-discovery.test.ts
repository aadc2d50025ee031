import { createClient } from "@connectrpc/connect";
import { AgentService } from "../src/contract/index.ts";
import { createRegistrySource, defineAgent, discoveredFeed, type Server } from "../src/index.ts";
import { callUntil, openBalanced } from "./support/reach.ts";
import { startServer } from "./support/server.ts";

/** A server of one agent that answers with the server's name, and is registered. */
function startReplica(name: string, registry: Server): Promise<Server> {
  const agent = defineAgent({
    name: "schedule",
    capabilities: ["schedule"],
    async *run() {
      yield name;
    },
  });
  return startServer({ agents: [agent], register: { registry: registry.url } });
}

test("calls fail while the registry is away and nothing is known, and go out when it comes", async () => {
  const gone = await startServer({ agents: [], registry: true });
  await gone.close({ graceMs: 0 });
  const source = createRegistrySource({ registry: [gone.url], backoff: { initialMs: 20 } });
  const transport = openBalanced({ endpoints: discoveredFeed(source, { capability: "schedule" }) });
  const client = createClient(AgentService, transport);
  const ask = () => client.processTask({ content: "when?", taskId: crypto.randomUUID() });
  await expect(ask()).rejects.toThrow(/\[unavailable\] the endpoints are not known: .*ECONNREFUSED/);
  const registry = await startServer({ agents: [], registry: true, port: gone.port });
  await startReplica("one", registry);
  const answer = async () => (await ask().catch(() => undefined))?.content ?? "";
  expect(await callUntil(answer, (name) => name === "one")).toBe("one");
  source.close();
});

test("calls go to whom the registry names, and follow as replicas come and go, also when the registry itself has gone", async () => {
  const registry = await startServer({ agents: [], registry: true });
  const one = await startReplica("one", registry);
  const source = createRegistrySource({ registry: [registry.url] });
  const transport = openBalanced({ endpoints: discoveredFeed(source, { capability: "schedule" }), waitForReady: true });
  const client = createClient(AgentService, transport);
  const ask = async () => (await client.processTask({ content: "when?", taskId: crypto.randomUUID() })).content;
  expect(await callUntil(ask, (answer) => answer === "one")).toBe("one");
  const two = await startReplica("two", registry);
  expect(await callUntil(ask, (answer) => answer === "two")).toBe("two");
  await one.close();
  expect(new Set([await ask(), await ask(), await ask(), await ask()])).toEqual(new Set(["two"]));
  await registry.close({ graceMs: 0 });
  expect(await ask()).toBe("two");
  await two.close();
  source.close();
});
