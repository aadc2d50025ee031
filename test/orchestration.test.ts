import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Agent,
  type AgentContext,
  Code,
  ConnectError,
  connect,
  defineAgent,
  type FanOutOptions,
  fanOut,
  handOff,
  type Server,
  type Task,
  usage,
} from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { startClient, startServer } from "./support/server.ts";
import { taskPlaces } from "./support/task-places.ts";

type Run = (task: Task, ctx: AgentContext) => ReturnType<Agent["run"]>;

/** An agent that can do what it is called. */
const agent = (name: string, run: Run) => defineAgent({ name, capabilities: [name], run });

/** Says its name, and waits until it is stopped; tells of it. */
function hanging(name: string, stopped: (reason: unknown) => void = () => {}, started: () => void = () => {}) {
  return agent(name, async function* (_task, { signal }) {
    yield name;
    started();
    await delay(60_000, undefined, { signal }).catch(() => stopped(signal.reason));
  });
}

const saying = (name: string) =>
  agent(name, async function* (task) {
    yield `${name}: ${task.content}`;
    yield usage({ prompt: 1, completion: 1 });
  });

const failing = (name: string) =>
  agent(name, async function* () {
    yield "partial";
    throw new ConnectError("no idea", Code.NotFound);
  });

/** Where the agents that are asked are: beside the one that asks, or on a server of their own. */
const places: readonly [where: string, start: (asking: Agent, others: readonly Agent[]) => Promise<Started>][] = [
  ["of this server", async (asking, others) => ({ agents: await startClient({ agents: [asking, ...others] }) })],
  ["of another server", startApart],
];

interface Started {
  readonly agents: Awaited<ReturnType<typeof startClient>>;
  readonly other?: Server;
}

async function startApart(asking: Agent, others: readonly Agent[]): Promise<Started> {
  const registry = await startServer({ agents: [], registry: true });
  const register = { registry: registry.url };
  const other = await startServer({ agents: [...others], register });
  const found = connect({ ...register, waitForReady: true });
  for (const { name } of others)
    await found
      .agent(name)
      .get("none", { timeoutMs: 10_000 })
      .catch(() => {}); // until all are registered
  found.close();
  return { agents: await startClient({ agents: [asking], discover: register }), other };
}

describe.each(places)("agents %s", (_where, start) => {
  const names = ["a", "b", "c", "d"];
  const fanning = (options: FanOutOptions = {}, seen: (outcomes: Awaited<ReturnType<typeof fanOut>>) => void = () => {}) =>
    agent("asking", async function* (task, ctx) {
      const asks = task.content.split(" ").map((name) => ({ agent: ctx.agents.capability(name), content: "hi" }));
      const outcomes = await fanOut(asks, { signal: ctx.signal, ...options });
      seen(outcomes);
      yield outcomes.map(({ content, error }) => `${content}${error === undefined ? "" : ` (${Code[error.code]})`}`).join(", ");
    });

  test("answer at once, in the order in which they were asked", async () => {
    const { agents } = await start(fanning(), names.map(saying));
    const { content, spending } = await agents.process("d c b a");
    expect(content).toBe("d: hi, c: hi, b: hi, a: hi");
    expect(spending).toMatchObject({ calls: 4, tokens: 8 });
  });

  test("are asked no more at once than was said", async () => {
    let [running, most] = [0, 0];
    const counting = (name: string) =>
      agent(name, async function* () {
        most = Math.max(most, ++running);
        await delay(10);
        running--;
        yield name;
      });
    const { agents } = await start(fanning({ concurrency: 2 }), names.map(counting));
    expect((await agents.process("a b c d")).content).toBe("a, b, c, d");
    expect([running, most]).toEqual([0, 2]);
  });

  test("are stopped when the first one fails, and the error says which", async () => {
    let tell: (reason: unknown) => void = () => {};
    const stopped = new Promise<unknown>((resolve) => {
      tell = resolve;
    });
    const { agents } = await start(fanning(), [hanging("a", tell), failing("b")]);
    const error = await failure(agents.process("a b", { timeoutMs: 20_000 }));
    expect([error.code, error.rawMessage]).toEqual([Code.NotFound, '"b", ask 2 of 2: no idea']);
    expect(ConnectError.from(await stopped).code).toBe(Code.Canceled);
  });

  test("have all their outcomes when they are to settle, and what came before a failure", async () => {
    const { agents } = await start(fanning({ mode: "settled" }), [saying("a"), failing("b")]);
    expect((await agents.process("a b")).content).toBe("a: hi, partial (NotFound)");
  });

  test("end with the task", async () => {
    let tell: (reason: unknown) => void = () => {};
    const stopped = new Promise<unknown>((resolve) => {
      tell = resolve;
    });
    let begin = () => {};
    const started = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const { agents } = await start(fanning({ mode: "settled" }), [hanging("a", tell, begin)]);
    const running = failure(agents.process({ taskId: "t", content: "a" }, { timeoutMs: 20_000 }));
    await started;
    await agents.cancel("t");
    expect((await running).code).toBe(Code.Canceled);
    await stopped;
  });

  test("have their own time and signal", async () => {
    const results: string[] = [];
    const bounded = agent("asking", async function* (_task, ctx) {
      const ask = ctx.agents.capability("a");
      const controller = new AbortController();
      const stopped = failure(ask.process("hi", { signal: controller.signal }));
      for (const call of [failure(ask.process("hi", { timeoutMs: 30 })), stopped]) {
        const error = await call;
        results.push(`${Code[error.code]}: ${error.rawMessage}`);
        controller.abort();
      }
      yield "done";
    });
    const { agents } = await start(bounded, [hanging("a")]);
    await agents.process("go", { timeoutMs: 20_000 });
    expect(results).toEqual([
      expect.stringMatching(/^DeadlineExceeded: asking → a: /),
      expect.stringMatching(/^Canceled: asking → a: /),
    ]);
  });

  test("go on with a conversation that is handed to them, as one stream", async () => {
    const handing = agent("asking", async function* (task, ctx) {
      yield "One moment. ";
      yield* handOff(ctx.agents.capability("a"), task.content);
    });
    const { agents } = await start(handing, [saying("a")]);
    const events: unknown[] = [];
    for await (const { index, text, handoff } of agents.stream({ content: "one", conversationId: "c" })) {
      if (text !== "") events.push([index, text]);
      if (handoff !== undefined) events.push([index, handoff.capability]);
    }
    expect(events).toEqual([
      [0, "One moment. "],
      [1, "a"],
      [2, "a: one"],
    ]);
    expect((await agents.process({ content: "two", conversationId: "c" })).content).toBe("a: two");
    expect((await agents.process({ content: "three", conversationId: "c" })).content).toBe("a: three");
    expect((await agents.process("four")).content).toBe("One moment. a: four");
  });
});

test.each(taskPlaces)(
  "a conversation that was handed on comes back when nobody can go on with it, in %s",
  async (_place, open) => {
    const handing = agent("asking", async function* ({ content, conversation }, ctx) {
      if (content === "back") yield `${conversation?.turns.at(-1)?.handedTo} is gone`;
      else yield* handOff({ capability: "gone", stream: ctx.agents.capability("a").stream }, content);
    });
    const agents = await startClient({ ...(await open()), agents: [handing, saying("a")] });
    await agents.process({ content: "one", conversationId: "c" });
    expect((await agents.process({ content: "back", conversationId: "c" })).content).toBe("gone is gone");
  },
);

test("a conversation that was handed on comes back when its agent has left the registry", async () => {
  const handing = agent("asking", async function* ({ content, conversation }, ctx) {
    if (content === "back") yield `${conversation?.turns.at(-1)?.handedTo} is gone`;
    else yield* handOff(ctx.agents.capability("a"), content);
  });
  const registry = await startServer({ agents: [], registry: true });
  const discover = { registry: registry.url, waitForReady: true };
  const other = await startServer({ agents: [saying("a")], register: discover });
  const agents = await startClient({ agents: [handing], discover });
  expect((await agents.process({ content: "one", conversationId: "c" })).content).toBe("a: one");
  expect((await agents.process({ content: "back", conversationId: "c" })).content).toBe("a: back");
  await other.close();
  expect((await agents.process({ content: "back", conversationId: "c" }, { timeoutMs: 5_000 })).content).toBe("a is gone");
});

test("four specialists at once share one connection to their server", async () => {
  const names = ["a", "b", "c", "d"];
  const asking = agent("asking", async function* (_task, ctx) {
    const outcomes = await fanOut(names.map((name) => ({ agent: ctx.agents.capability(name), content: "hi" })));
    yield outcomes.map(({ content }) => content).join();
  });
  const { agents, other } = await startApart(asking, names.map(saying));
  let connections = 0;
  const count = (message: unknown) => {
    const { socket } = message as { socket: Socket }; // what Node says of it
    if (socket.localPort === other?.port) connections++;
  };
  subscribe("net.server.socket", count);
  expect((await agents.process("go")).content).toBe("a: hi,b: hi,c: hi,d: hi");
  unsubscribe("net.server.socket", count);
  expect(connections).toBe(1);
});

test.each<[what: string, asks: number, options: FanOutOptions, message: string]>([
  ["too many asks", 65, {}, "there are 65 asks; 64 are the most"],
  ["no ask at once", 1, { concurrency: 0 }, "concurrency is 0; it must be a whole number from 1 to 64"],
  ["another mode", 1, { mode: JSON.parse('"some"') }, 'mode is "some"; it must be "all" or "settled"'],
])("a fan-out of %s is refused", async (_what, asks, options, message) => {
  const ask = { agent: { name: "a", stream: () => (async function* () {})() }, content: "hi" };
  await expect(fanOut(Array(asks).fill(ask), options)).rejects.toThrow(message);
});
