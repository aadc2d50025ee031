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
