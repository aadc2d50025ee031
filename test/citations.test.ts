import { createHash } from "node:crypto";
import { z } from "zod";
import { Code, citesItsSources, defineAgent, defineTool, modelAgent, type QuoteInit, SourceRange_Unit } from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { calling, saying, startModel } from "./support/model-server.ts";
import { startClient } from "./support/server.ts";

const notes = { from: "notes.txt", line: "The fee is 12 € — “per month”." };
const read = defineTool({ name: "read", input: z.object({}), run: () => notes });
const resultHash = createHash("sha256").update(JSON.stringify(notes)).digest("hex");

/** An agent that reads the notes, and cites. */
const citing = (quote: QuoteInit) =>
  defineAgent({
    name: "citing",
    async *run(_task, ctx) {
      await ctx.tool(read, {});
      yield "It is 12 €.";
      yield ctx.cite(quote);
    },
  });

describe("ctx.cite", () => {
  test.each<[what: string, quote: QuoteInit, citation: object]>([
    [
      "words of a tool's result: where they stand, and the hash of the result",
      { quote: "12 €" },
      {
        uri: expect.stringMatching(/^tool:read#\S+$/),
        sourceSha256: resultHash,
        range: { unit: SourceRange_Unit.CHARACTER, start: 12, end: 15 },
      },
    ],
    ["words that are typeset in another way", { quote: '12 € - "per  month"' }, { sourceSha256: resultHash }],
    [
      "a name of the source's own",
      { quote: "The fee", uri: "file:notes.txt", title: "Notes" },
      { uri: "file:notes.txt", title: "Notes" },
    ],
    [
      "a text",
      { quote: "👍 yes", from: "a👍 yes", uri: "chat" },
      { uri: "chat", sourceSha256: createHash("sha256").update("a👍 yes").digest("hex"), range: { start: 2, end: 6 } },
    ],
  ])("cites %s", async (_what, quote, citation) => {
    const agents = await startClient({ agents: [citing(quote)] });
    const { citations } = await agents.process("fee?");
    expect(citations).toMatchObject([{ quote: quote.quote, ...citation }]);
  });

  test.each<[what: string, quote: QuoteInit, shown: string]>([
    ["is not there", { quote: "The fee is 13 €" }, "The fee is 13 €"],
    ["is empty", { quote: " " }, " "],
    ["is not in the text that is named", { quote: "12 €", from: "nothing", uri: "x" }, "12 €"],
    ["is long and not there", { quote: "x".repeat(500) }, `${"x".repeat(80)}…`],
  ])("refuses a quote that %s", async (_what, quote, shown) => {
    const agents = await startClient({ agents: [citing(quote)] });
    const error = await failure(agents.process("fee?"));
    expect([error.code, error.rawMessage]).toEqual([
      Code.FailedPrecondition,
      `no source of the task contains the quote "${shown}"`,
    ]);
  });

  test("cites an entry of shared memory by its hash", async () => {
    const recalling = defineAgent({
      name: "recalling",
      async *run(_task, ctx) {
        const [entry] = (await ctx.memory.thread("plan").read()).entries;
        if (entry === undefined) throw new Error("the thread has an entry");
        yield "On Tuesday.";
        yield ctx.cite({ quote: "Tuesday", from: { thread: "plan", entry } });
      },
    });
    const agents = await startClient({ agents: [recalling], memory: true });
    await agents.memory("plan").append("We meet on Tuesday.");
    const { citations } = await agents.process("when?");
    const hashes: string[] = [];
    for await (const { sha256 } of agents.memory("plan").read()) hashes.push(sha256);
    expect(citations).toMatchObject([{ uri: "memory:plan#0", sourceSha256: hashes[0], range: { start: 12, end: 18 } }]);
    expect(hashes).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  });
});

describe("a model", () => {
  const answering = async (quote: string, last: string) => {
    const answers = [calling(["r", "read", "{}"]), calling(["c", "cite", JSON.stringify({ quote })]), saying(last)];
    const { model, asked } = await startModel(...answers);
    const agents = await startClient({
      agents: [modelAgent({ name: "model", model, tools: [read], guardrails: [citesItsSources()], maxRetries: 0 })],
    });
    return { agents, asked };
  };

  test("cites what its tools have given", async () => {
    const { agents, asked } = await answering("The fee is 12 €", "");
    expect(asked.length).toBe(0);
    const { citations } = await agents.process("fee?");
    expect(citations).toMatchObject([{ uri: "tool:read#r", quote: "The fee is 12 €", sourceSha256: resultHash }]);
    expect(asked[0]?.tools?.map(({ function: { name } }) => name)).toEqual(["read", "cite"]);
  });

  test("cannot cite what its own citing gave", async () => {
    const answers = [
      calling(["r", "read", "{}"]),
      calling(["c", "cite", '{"quote":"The fee"}']),
      calling(["d", "cite", '{"quote":"cited"}']),
      saying(""),
    ];
    const { model, asked } = await startModel(...answers);
    const agents = await startClient({ agents: [modelAgent({ name: "model", model, tools: [read], maxRetries: 0 })] });
    const { citations } = await agents.process("fee?");
    expect(citations.map(({ quote }) => quote)).toEqual(["The fee"]);
    expect(asked[3]?.messages.at(-1)?.content).toContain("no source of the task contains the quote");
  });

  test("that cites what no tool has given is told, and a guardrail keeps the claim back", async () => {
    const { agents, asked } = await answering("The fee is 99 €", "The fee is 99 €.");
    const error = await failure(agents.process("fee?"));
    expect(error.code).toBe(Code.FailedPrecondition);
    expect(asked[2]?.messages.at(-1)).toMatchObject({
      role: "tool",
      tool_call_id: "c",
      content: expect.stringContaining('no source of the task contains the quote "The fee is 99 €"'),
    });
  });
});
