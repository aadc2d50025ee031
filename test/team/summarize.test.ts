import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import summarize from "../../examples/team/summarize.ts";
import { ask, citationsOf, textOf } from "../support/ask.ts";

let folder = "";
let root = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "summarize-"));
  root = join(folder, "root");
  await mkdir(join(root, "docs"), { recursive: true });
  process.env["CONVOKE_FILES"] = root;
});
afterEach(async () => {
  delete process.env["CONVOKE_FILES"];
  await rm(folder, { recursive: true });
});

const trees = [
  "Forests store carbon in their trees and in their soil.",
  "Yesterday it rained.",
  "Old trees in forests store more carbon than young trees.",
  "My neighbour owns a bicycle.",
  "Soil keeps water for dry months.",
  "He likes soup.",
  "When forests burn, the carbon in trees and soil returns to the air.",
];
const text = trees.join(" ");

/** The sentences of a summary, and where each stands. */
async function summary(question: string): Promise<[position: number | undefined, quote: string][]> {
  const events = await ask(summarize, question);
  const sources = citationsOf(events);
  expect(textOf(events)).toBe(sources.map(({ quote }) => quote).join(" "));
  return sources.map(({ quote, range }) => [range?.start, quote]);
}

describe("a text", () => {
  test("is told in its most telling sentences, in its own order", async () => {
    expect(await summary(`Summarize: ${text}`)).toEqual([
      [1, trees[0]],
      [5, trees[4]],
      [7, trees[6]],
    ]);
  });

  test("each sentence comes as a piece of its own, followed by its source", async () => {
    const events = await ask(summarize, `Summarize: ${text}`);
    expect(events.map((event) => event.case)).toEqual(["text", "citation", "text", "citation", "text", "citation"]);
    expect(citationsOf(events)[1]).toMatchObject({
      uri: "text:",
      title: "The text",
      quote: trees[4],
      range: { start: 5, end: 5 },
    });
  });

  test.each([
    [`summarise in 2 sentences: ${text}`, 2],
    [`Summarize the following text in one sentence: ${text}`, 1],
    [`tl;dr in a sentence: ${text}`, 1],
    [`Please summarize this in five sentences:\n${text}`, 5],
    [`Could you sum up: ${text} In 4 sentences, please.`, 4],
    [`Summarize: ${text} in 0 sentences`, 1],
    [`${text}`, 3],
  ])("%.60s: %d of them", async (question, count) => {
    expect(await summary(question)).toHaveLength(count);
  });

  test("has at most ten sentences in its summary", async () => {
    const long = Array.from({ length: 30 }, (_, at) => `Tree number ${at} is an oak of the forest.`).join(" ");
    expect(await summary(`Summarize in 99 sentences: ${long}`)).toHaveLength(10);
  });

  test("that says one thing twice is told once", async () => {
    const twice = "The owl hunts mice at night. The owl hunts mice by night. A heron catches fish from the river. It rained.";
    expect((await summary(`Summarize in 2 sentences: ${twice}`)).map(([position]) => position)).toEqual([1, 3]);
  });

  test("may speak of sentences itself", async () => {
    const about = `A judge may punish in two sentences: one spoken, one served. ${text}`;
    expect(await summary(`Summarize: ${about}`)).toHaveLength(3);
  });

  test("keeps abbreviations, numbers and quotes in one piece", async () => {
    const sentence = 'Dr. Smith (see e.g. version 1.2.3) said "Stop it now" to the owl.';
    expect((await summary(`Summarize in 1 sentence: ${sentence} ${sentence.replace("owl", "fox")}`))[0]).toEqual([1, sentence]);
  });

  test("that is short comes back whole, with a note", async () => {
    const events = await ask(summarize, "Summarize: One owl hunts. Two owls sleep.");
    expect(textOf(events)).toBe("One owl hunts. Two owls sleep.\n\nThat is the whole text; it is too short to summarise.");
    expect(citationsOf(events)).toHaveLength(2);
  });
});

describe("a file", () => {
  test("is cited by its path below the root", async () => {
    await writeFile(join(root, "docs", "trees.md"), text);
    const [source] = citationsOf(await ask(summarize, "Summarize docs/trees.md"));
    expect(source).toMatchObject({ uri: "docs/trees.md", title: "docs/trees.md", quote: trees[0], range: { start: 1 } });
  });

  test.each([
    ["summarize docs/trees.md in 2 sentences", 2],
    ["Can you summarize the file docs/trees.md?", 3],
    ["summarize `docs/trees.md`, in one sentence please", 1],
    ["Give me a summary of docs/trees.md", 3],
    ["summarize ./docs/../docs/trees.md", 3],
  ])("%s", async (question, count) => {
    await writeFile(join(root, "docs", "trees.md"), text);
    expect(await summary(question)).toHaveLength(count);
  });

  test("is read without its Markdown", async () => {
    const lines = [
      ...["---", "title: hidden", "---", "# Hidden heading", "", "Hidden title", "============", ""],
      ...["Owls *hunt* in __the dark__ [forest](https://hidden.example/a_b) with `eyes`.", ""],
      ...["```js", "hidden();", "```", "", "| hidden | table |", "|---|---|", "", "hidden | row", "--- | ---", ""],
      ...["![hidden picture](hidden.png)", "", "<!-- hidden", "comment -->", ""],
      ...["- Snake_case stays, and", "  a line goes on.", "1. [Foxes][1] dig.", "", "> A quote", "> is <b>prose</b>.", ""],
      ...["#", "2 * 3 * 4 stays.", "", "[1]: https://hidden.example", "", "~~~", "hidden to the end"],
    ];
    await writeFile(join(root, "all.md"), lines.join("\r\n"));
    const events = await ask(summarize, "Summarize all.md in 9 sentences");
    expect(citationsOf(events).map(({ quote }) => quote)).toEqual([
      "Owls hunt in the dark forest with eyes.",
      "Snake_case stays, and a line goes on.",
      "Foxes dig.",
      "A quote is prose.",
      "2 * 3 * 4 stays.",
    ]);
  });

  test("a .txt file is read too", async () => {
    await writeFile(join(root, "trees.txt"), text);
    expect(await summary("Summarize trees.txt")).toHaveLength(3);
  });
});

describe("what cannot be summarised gets one sentence", () => {
  test.each([
    ["summarize", "There is no text"],
    ["Summarize: ", "There is no text"],
    ["", "There is no text"],
    ["summarize in 2 sentences", "There is no text"],
    ["summarize: 12 + 34 = ...", "no sentences"],
    ["summarize docs/missing.md", "There is no file docs/missing.md"],
    ["summarize docs", "whole text"],
    ["summarize docs/", "There is no file docs/"],
    ["summarize secret.json", ".md and .txt files only"],
    ["summarize big.md", "at most 1 MiB"],
    ["summarize empty.md", "empty.md holds no sentences"],
    ["summarize docs/\0.md", "There is no file"],
    [`summarize: ${"a".repeat(1024 * 1024)}`, "at most 1 MiB"],
  ])("%.40s: %s", async (question, reason) => {
    await writeFile(join(root, "secret.json"), "{}");
    await writeFile(join(root, "empty.md"), "# Heading only\n");
    await writeFile(join(root, "big.md"), "a".repeat(1024 * 1024 + 1));
    const answer = textOf(await ask(summarize, question));
    expect(answer).toContain(reason);
    expect(answer).not.toContain(folder);
  });

  test.each([
    "/etc/passwd",
    "../outside.md",
    "docs/../../outside.md",
    "../root2/near.md",
    "link.md",
    "linked/outside.md",
    "hidden.md",
    "../missing.md",
  ])("nothing outside the folder is read, nor its paths shown: %s", async (path) => {
    await mkdir(join(folder, "root2"));
    await writeFile(join(folder, "outside.md"), `secret. ${text}`);
    await writeFile(join(folder, "root2", "near.md"), `secret. ${text}`);
    await writeFile(join(root, "key.pem"), `secret. ${text}`);
    await symlink(join(folder, "outside.md"), join(root, "link.md"));
    await symlink(folder, join(root, "linked"));
    await symlink(join(root, "key.pem"), join(root, "hidden.md"));
    const events = await ask(summarize, `Summarize ${path}`);
    expect(citationsOf(events)).toEqual([]);
    expect(textOf(events)).toMatch(
      /^I (read files of one folder only; give me a path in it, such as|summarise \.md and) [^/]*\.$/,
    );
  });

  test("a folder that is not there", async () => {
    process.env["CONVOKE_FILES"] = join(folder, "nowhere");
    expect(textOf(await ask(summarize, "Summarize a.md"))).toMatch(/^I read files of one folder only/);
  });
});

test.each([
  ["(".repeat(200_000)],
  ["<!--".repeat(50_000)],
  ["```\n".repeat(50_000)],
  ["[a](x".repeat(40_000)],
  ["* ".repeat(100_000)],
  [`a${" ".repeat(200_000)}b`],
  ["\n\t".repeat(100_000)],
  ["x".repeat(200_000)],
  [`/${"!".repeat(200_000)}x`],
  [`${"please ".repeat(30_000)}x`],
  ["in two sentences ".repeat(10_000)],
  [`${"=".repeat(200_000)}x`],
])("no text makes it slow (a pattern that backtracks would outlast the test): %.8s…", async (hostile) => {
  expect(textOf(await ask(summarize, `summarize ${hostile}`))).not.toBe("");
});

test("a cancelled task stops between paragraphs", async () => {
  const cancel = AbortSignal.abort(new Error("cancelled"));
  const task = {
    id: "1",
    content: `summarize: ${text}`,
    metadata: {},
    availableTools: [],
    toolResults: [],
    inputs: [],
    events: [],
  };
  const run = summarize.run(task, { signal: cancel } as Parameters<typeof summarize.run>[1]); // the signal is all it uses
  await expect(run[Symbol.asyncIterator]().next()).rejects.toThrow("cancelled");
});

test("the project's own files are what it reads by default", async () => {
  delete process.env["CONVOKE_FILES"];
  expect(textOf(await ask(summarize, "Summarize package.json"))).toBe("I summarise .md and .txt files only.");
});
