import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import research from "../../examples/team/research.ts";
import { ask, citationsOf, textOf } from "../support/ask.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "documents-"));
  process.env["CONVOKE_DOCS"] = folder;
});
afterEach(async () => {
  delete process.env["CONVOKE_DOCS"];
  await rm(folder, { recursive: true });
});

async function write(path: string, ...lines: string[]): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), lines.join("\n"));
}

/** The first citation of an answer, as `file:first-last title`, once its quote proved to be those lines. */
async function sourceOf(question: string): Promise<string | undefined> {
  const [source] = await sourcesOf(question);
  return source;
}

async function sourcesOf(question: string): Promise<string[]> {
  const citations = citationsOf(await ask(research, question));
  return Promise.all(
    citations.map(async ({ uri, title, quote, range }) => {
      const { start = 0, end = 0 } = range ?? {};
      const lines = (await readFile(join(folder, uri), "utf8")).split("\n").slice(start - 1, end);
      expect(quote.split("\n")).toEqual(lines);
      return `${uri}:${start}-${end} ${title}`;
    }),
  );
}

describe("an answer is a passage with its place", () => {
  test("a paragraph, under the trail of its headings", async () => {
    await write("guide.md", "# Guide", "", "## Trees", "", "An oak grows slowly", "and lives long.", "", "Birches do not.");
    expect(await sourceOf("How does an oak grow?")).toBe("guide.md:5-6 Guide › Trees");
    expect(textOf(await ask(research, "How does an oak grow?"))).toBe("An oak grows slowly\nand lives long.\n\n");
  });

  test("a whole list, its blank lines and indented parts included", async () => {
    await write("list.md", "Trees:", "", "- oak", "", "  which is strong", "- willow", "", "Later, a paragraph.");
    expect(await sourceOf("willow")).toBe("list.md:3-6 ");
  });

  test("a whole table", async () => {
    await write("table.md", "# Woods", "", "| tree | height |", "|---|---|", "| spruce | 40 m |", "", "End.");
    expect(await sourceOf("height of the spruce")).toBe("table.md:3-5 Woods");
  });

  test("a whole code block, whose blank lines and # lines end nothing", async () => {
    await write("code.md", "Run:", "```sh", "# fell the larch", "", "saw larch", "```", "Done.");
    expect(await sourceOf("saw the larch")).toBe("code.md:2-6 ");
  });

  test("a fence is closed by one as long, of the same kind", async () => {
    await write("fence.md", "````md", "```", "maple", "```", "~~~~", "````", "Pine.");
    expect(await sourceOf("maple")).toBe("fence.md:1-6 ");
  });

  test("front matter and headings are no passages, whichever way a heading is written", async () => {
    await write("page.md", "---", "title: cedar", "---", "Cedar", "=====", "", "Cedar wood", "-----", "It is light.");
    expect(await sourceOf("light cedar wood")).toBe("page.md:9-9 Cedar › Cedar wood");
    expect(await sourcesOf("title cedar")).toEqual([]);
  });

  test("a heading ends the trail of those below it", async () => {
    await write("trail.md", "# A", "### Deep", "## B", "The ash.");
    expect(await sourceOf("ash")).toBe("trail.md:4-4 A › B");
  });

  test("files in folders, in Windows line ends too", async () => {
    await write("a/b/deep.md", "# Elm\r", "\r", "The elm bends\r", "in the wind.\r", "");
    const [{ uri, quote } = { uri: "", quote: "" }] = citationsOf(await ask(research, "elm wind"));
    expect([uri, quote]).toEqual(["a/b/deep.md", "The elm bends\r\nin the wind."]);
  });
});

describe("ranking", () => {
  test("puts the passage with more of the question's words first, and leaves out weak ones", async () => {
    await write("one.md", "Oaks bear acorns in autumn.", "", "Acorns feed squirrels all winter.", "", "Winter is cold.");
    expect(await sourcesOf("Which squirrels eat acorns in winter?")).toEqual(["one.md:3-3 "]);
  });

  test("gives at most three passages", async () => {
    await write("many.md", ...Array.from({ length: 9 }, (_, at) => `Beech number ${at}.\n`));
    expect(await sourcesOf("beech number")).toHaveLength(3);
  });

  test("finds other forms of a word, and the parts of a name in code", async () => {
    await write("forms.md", "Call `plantForest` once.", "", "Trees are cancelled by felling.");
    expect(await sourceOf("how to plant a forest")).toBe("forms.md:1-1 ");
    expect(await sourceOf("cancelling a tree")).toBe("forms.md:3-3 ");
    expect(await sourceOf("plantForest")).toBe("forms.md:1-1 ");
  });
});

describe("no answer", () => {
  test("when too few of the question's words are there", async () => {
    await write("a.md", "The oak is a tree.");
    await write("b.md", "So is the ash.", "", "And the elm.");
    expect(textOf(await ask(research, "What is the price of oak futures?"))).toBe(
      "Nothing in the documents answers that. Searched 3 passages of a.md and b.md.\n",
    );
  });

  const questions = [
    ["nothing", ""],
    ["no word", "?!"],
    ["words that say nothing", "What is it?"],
    ["the names of an object's own properties", "toString constructor __proto__"],
    ["a word without end", "a".repeat(100_000)],
  ];

  test.each(questions)("to %s", async (_, question) => {
    await write("a.md", "What it is, it is.");
    expect(textOf(await ask(research, question))).toMatch(/^Nothing in the documents answers that\./);
  });

  test("from a folder without documents, or without a folder", async () => {
    const nothing =
      "Nothing in the documents answers that. There were none to search: set CONVOKE_DOCS to a folder with .md files.\n";
    expect(textOf(await ask(research, "oak"))).toBe(nothing);
    process.env["CONVOKE_DOCS"] = join(folder, "missing");
    expect(textOf(await ask(research, "oak"))).toBe(nothing);
  });

  test("from what is too large, too deep, hidden, linked, or not Markdown", async () => {
    await write("large.md", "The oak. ".repeat(40_000));
    await write("1/2/3/4/5/6/deep.md", "The oak.");
    await write(".hidden/a.md", "The oak.");
    await write("node_modules/a.md", "The oak.");
    await write("oak.txt", "The oak.");
    await symlink(join(folder, "oak.txt"), join(folder, "link.md"));
    expect(citationsOf(await ask(research, "oak"))).toEqual([]);
  });
});

test("an edited file is read again, and a new and a deleted one are noticed", async () => {
  await write("a.md", "The oak.");
  expect(await sourceOf("oak")).toBe("a.md:1-1 ");
  await write("a.md", "The ash.");
  await utimes(join(folder, "a.md"), 1, 1); // the same size: only its time tells
  expect(await sourceOf("oak")).toBeUndefined();
  expect(await sourceOf("ash")).toBe("a.md:1-1 ");
  await write("b.md", "", "The oak.");
  expect(await sourceOf("oak")).toBe("b.md:2-2 ");
  await rm(join(folder, "b.md"));
  expect(await sourceOf("oak")).toBeUndefined();
});

test("without CONVOKE_DOCS the project's own documents are searched", async () => {
  delete process.env["CONVOKE_DOCS"];
  const answer = textOf(await ask(research, "zyxwv"));
  expect(answer).toMatch(/^Nothing in the documents answers that\. (?:Searched \d+ passages of .*\.md|There were none)/);
});
