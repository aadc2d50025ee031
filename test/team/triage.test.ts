import calculate from "../../examples/team/calculate.ts";
import research from "../../examples/team/research.ts";
import schedule from "../../examples/team/schedule.ts";
import summarize from "../../examples/team/summarize.ts";
import triage from "../../examples/team/triage.ts";
import { type Agent, citation, defineAgent, type Turn } from "../../src/agent/index.ts";
import { askAmong, citationsOf, textOf } from "../support/ask.ts";

/** A specialist that answers with its name, what it was asked, and the caller's metadata. */
function echo(name: string): Agent {
  return defineAgent({
    name,
    capabilities: [name],
    description: `Does ${name}.`,
    examples: [`Please ${name}`, "Not shown"],
    async *run(task) {
      yield `${name}: ${task.content}`;
      yield citation({ uri: `echo:${task.metadata["time_zone"] ?? ""}` });
    },
  });
}

const team = ["summarize", "schedule", "calculate", "research"].map(echo);

function askTeam(content: string, before: readonly string[] = []): Promise<string> {
  const turns: Turn[] = before.map((asked, at) => ({ taskId: `${at}`, agent: "triage", content: asked, answer: "…" }));
  return askAmong(team, triage, { content, conversation: { id: "c", turns } }).then(textOf);
}

const longText = "An oak grows slowly and lives for a long time. ".repeat(20);

test.each([
  ["Summarize docs/architecture.md", "summarize"],
  ["summarise in 2 sentences: Meetings cost 20% of the week.", "summarize"],
  ["Can you give me a summary of README.md?", "summarize"],
  ["tl;dr notes.txt", "summarize"],
  [longText, "summarize"],
  ["30 minutes with Ana and Ben next Tuesday", "schedule"],
  ["An hour with Chloe tomorrow", "schedule"],
  ["Free slots for everyone this week", "schedule"],
  ["When is Ana free?", "schedule"],
  ["Who is available on Friday?", "schedule"],
  ["Schedule a call with Ben at 3pm", "schedule"],
  ["Can we meet on 2026-03-17?", "schedule"],
  ["45 minutes tomorrow in Berlin", "schedule"],
  ["What is 17% of 2,350 EUR?", "calculate"],
  ["0.1 + 0.2", "calculate"],
  ["1/3 + 1/6", "calculate"],
  ["add 19% to 80", "calculate"],
  ["What percent of 250 is 40?", "calculate"],
  ["5 miles in km", "calculate"],
  ["Convert 72 °F to celsius", "calculate"],
  ["What is 3 hours 20 minutes in minutes?", "calculate"],
  ["How many minutes are in 3 hours?", "calculate"],
  ["square root of 2", "calculate"],
  ["What's seven times eight?", "calculate"],
  ["split 120 EUR between 4 people", "calculate"],
  ["2^100", "calculate"],
  ["How do I define an agent?", "research"],
  ["What happens when a connection breaks?", "research"],
  ["How are tasks cancelled?", "research"],
  ["What is HTTP/2 used for?", "research"],
  ["Does a call end within 5 seconds?", "research"],
  ["Explain leases", "research"],
  ["How many times is a call retried?", "research"],
  ["And how are tasks cancelled?", "research"],
])("%.60s → %s", async (question, specialist) => {
  expect(await askTeam(question)).toBe(`${specialist}: ${question}`);
});

test.each(
  [calculate, research, schedule, summarize].flatMap(({ name, examples }) => examples.map((example) => [example, name])),
)("an example of the real team: %s → %s", async (example, specialist) => {
  expect(await askTeam(example)).toBe(`${specialist}: ${example}`);
});

test.each(["hello", "Thanks!", "", "   ", "asdf qwer", "write me a poem", "and?", "what about Ben?", "👍"])(
  "%j fits nobody, and hears what the team can do",
  async (question) => {
    const answer = await askTeam(question);
    expect(answer).toMatch(/^Nobody here can answer that\. You can ask for this:\n/);
    for (const { name } of team) expect(answer).toContain(`- ${name}: Does ${name}. For example: "Please ${name}"\n`);
    expect(answer).not.toContain("Not shown");
  },
);

test("the answer is the specialist's own: its text, its citations, the caller's metadata, nothing else", async () => {
  const events = await askAmong(team, triage, { content: "5 miles in km", metadata: { time_zone: "Europe/Berlin" } });
  expect(events.map((event) => event.case)).toEqual(["text", "citation"]);
  expect(citationsOf(events).map(({ uri }) => uri)).toEqual(["echo:Europe/Berlin"]);
});

test("a real specialist answers through it", async () => {
  const events = await askAmong([calculate], triage, { content: "What is 17% of 2,350 EUR?" });
  expect(textOf(events)).toBe("399.50 EUR");
  expect(citationsOf(events).map(({ quote }) => quote)).toEqual(["17% * 2350 EUR"]);
});

test("a specialist that is not there is passed over", async () => {
  const some = team.filter(({ name }) => name === "research");
  const when = "When is Ana free?";
  expect(textOf(await askAmong(some, triage, { content: when }))).toBe(`research: ${when}`);
  expect(textOf(await askAmong(some, triage, { content: "5 miles in km" }))).toContain("- research: Does research.");
  expect(textOf(await askAmong([], triage, { content: "5 miles in km" }))).toBe("Nobody here can answer that.");
});

test("a specialist's failure is the failure of the task", async () => {
  const broken = defineAgent({
    name: "calculate",
    capabilities: ["calculate"],
    async *run() {
      yield await Promise.reject(new Error("broken"));
    },
  });
  await expect(askAmong([broken], triage, { content: "1 + 1" })).rejects.toThrow("broken");
});

describe("a follow-up", () => {
  test.each([
    ["a new percentage", ["What is 17% of 2,350 EUR?"], "and 20%?", "calculate: What is 20% of 2,350 EUR?"],
    ["a new amount", ["What is 17% of 2,350 EUR?"], "What about 500 EUR?", "calculate: What is 17% of 500 EUR?"],
    ["a new length", ["30 minutes with Ana tomorrow"], "and for 45 minutes?", "schedule: 45 minutes with Ana tomorrow"],
    ["a unit in short", ["30 minutes with Ana tomorrow"], "then 45 min", "schedule: 45 min with Ana tomorrow"],
    ["over another follow-up", ["17% of 80", "and 18%?"], "and 19%?", "calculate: 19% of 80"],
    ["no quantity", ["30 minutes with Ana"], "what about Ben?", "schedule: what about Ben?"],
    ["another unit than before", ["17% of 80"], "and 3 apples?", "calculate: and 3 apples?"],
    ["a question of its own", ["17% of 80"], "And how are tasks cancelled?", "research: And how are tasks cancelled?"],
    ["only the last question counts", ["17% of 80", "When is Ana free?"], "and Ben?", "schedule: and Ben?"],
  ])("%s", async (_, before, question, answer) => {
    expect(await askTeam(question, before)).toBe(answer);
  });

  test("to what nobody answered fits nobody either", async () => {
    expect(await askTeam("and you?", ["hello"])).toMatch(/^Nobody/);
  });
});

test.each([["1".repeat(1_000_000)], ["when is ".repeat(100_000)], [`and ${"1,".repeat(500_000)}`], ["free ".repeat(200_000)]])(
  "a question of a megabyte is routed at once: %.10s…",
  async (question) => {
    expect(await askTeam(question, [question])).toBe(`summarize: ${question}`);
    expect(textOf(await askAmong([], triage, { content: question }))).toBe("Nobody here can answer that.");
  },
);
