import { type Agent, defineAgent, definePolicy, modelAgent, modelFromEnvironment, serve } from "convoke";
import { certificatesOf } from "../certificates.ts";
import { freeSlots, rooms } from "./calendar.ts";

/** The second process: an agent that plans meetings, for the orchestrator and for nobody else. */
const [, registry = ""] = process.argv.slice(2);
const { server, client } = certificatesOf("specialist");
const say = (line: string) => process.stdout.write(`${line}\n`);

const card = {
  name: "planner",
  capabilities: ["plan"],
  description: "Finds a time and a room for a meeting.",
};

/** Works without a model: the loop is written out. */
const byHand = defineAgent({
  ...card,
  async *run(task, ctx) {
    const { entries } = await ctx.memory.thread("meeting").read();
    const wish = entries.find(({ kind }) => kind === "wish");
    const notBefore = wish?.metadata["not_before"] ?? "";
    const { slots } = await ctx.tool(freeSlots, { people: ["ana", "ben"], minutes: 30 });
    const slot = slots.find((each) => each.slice("Tuesday, ".length) >= notBefore);
    if (slot === undefined) return yield "There is no time.";
    const { room } = await ctx.tool(rooms, { slot, people: 2 });
    yield `Ana and Ben are both free on ${slot}.`;
    yield ctx.cite({ quote: slot, title: "Calendars of Ana and Ben" });
    if (wish !== undefined) {
      yield " Ben asked for a time after noon.";
      yield ctx.cite({ quote: "not before noon", from: { thread: "meeting", entry: wish }, title: "What Ben said" });
    }
    yield ` ${room}.`;
    yield ctx.cite({ quote: room, title: "Rooms" });
    if (task.metadata["guess"] === "yes") yield " Everybody will be there in ten minutes."; // what nothing supports
  },
});

const model = await modelFromEnvironment();
const planner: Agent =
  model === undefined
    ? byHand
    : modelAgent({
        ...card,
        model,
        system:
          "Find a slot and a room with the tools. Answer in short sentences, and cite the words of a tool's result after each.",
        tools: [freeSlots, rooms],
      });

const telling: Agent = {
  ...planner,
  run(task, ctx) {
    say(`is asked by ${ctx.caller.name}, proven by ${ctx.caller.proof}`);
    return planner.run(task, ctx);
  },
};

const { url } = await serve({
  agents: [telling],
  port: 0,
  tls: server,
  access: {
    trustDomains: ["example.org"],
    policy: definePolicy([{ callers: ["spiffe://example.org/agent/orchestrator"] }]),
  },
  register: { registry, tls: client },
  log: { level: "warn" },
});
say(`serves ${planner.name} at ${url}`);
