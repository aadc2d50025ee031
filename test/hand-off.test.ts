import { fanOut, handOff } from "../src/index.ts";
import { everywhere, specialist, startTeam } from "./support/asking.ts";

const last = specialist("last", async function* ({ content }) {
  yield `last: ${content}`;
});

/** Hands on to `last`, wherever that is. */
const middle = specialist("middle", async function* ({ content }, ctx) {
  yield* handOff(ctx.agents.capability("last"), content);
});

async function streamed(agents: Awaited<ReturnType<typeof startTeam>>, content: string) {
  const texts: string[] = [];
  const handedTo: string[] = [];
  for await (const { text, handoff } of agents.stream({ content, conversationId: "c" })) {
    if (text !== "") texts.push(text);
    if (handoff !== undefined) handedTo.push(handoff.capability);
  }
  return [texts.join(""), handedTo];
}

describe.each(everywhere)("an agent %s that hands on", (where) => {
  test("the one question that it was asked leaves the conversation with its asker", async () => {
    const front = specialist("front", async function* ({ content, conversation }, ctx) {
      yield `front ${conversation?.turns.length}, `;
      yield* ctx.agents.capability("middle").stream(content);
    });
    const agents = await startTeam(front, where, [middle, last]);
    expect(await streamed(agents, "one")).toEqual(["front 0, last: one", []]);
    expect(await streamed(agents, "two")).toEqual(["front 1, last: two", []]);
  });

  test("a conversation that was handed to it hands it on for its first agent, too", async () => {
    const front = specialist("front", async function* ({ content }, ctx) {
      yield "front, ";
      yield* handOff(ctx.agents.capability("middle"), content);
    });
    const agents = await startTeam(front, where, [middle, last]);
    expect(await streamed(agents, "one")).toEqual(["front, last: one", ["middle", "last"]]);
    expect(await streamed(agents, "two")).toEqual(["last: two", ["last"]]);
  });

  test("keeps what was asked of several at once from the conversation", async () => {
    const front = specialist("front", async function* ({ content, conversation }, ctx) {
      const outcomes = await fanOut([{ agent: ctx.agents.capability("middle"), content }]);
      yield `front ${conversation?.turns.length}, `;
      for (const { events } of outcomes) yield* events;
    });
    const agents = await startTeam(front, where, [middle, last]);
    expect(await streamed(agents, "one")).toEqual(["front 0, last: one", []]);
    expect(await streamed(agents, "two")).toEqual(["front 1, last: two", []]);
  });
});
