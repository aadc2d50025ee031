import { setImmediate as turn } from "node:timers/promises";
import { citesItsSources } from "../src/guardrail/index.ts";
import {
  cite,
  describeGuardrail,
  finished,
  gives,
  givesText,
  judge,
  reasonsOf,
  type Step,
} from "./support/guardrail-contract.ts";

describeGuardrail("citesItsSources", {
  create: () => citesItsSources(),
  passes: finished(["Bern is the capital.", cite("atlas")]),
  blocks: finished(["Bern is the capital.", cite("atlas"), " Basel is larger."]),
});

const uncited = async (...steps: Step[]) =>
  (await reasonsOf(citesItsSources(), finished(steps))).map((reason) => /^"(.*)" has no citation$/.exec(reason)?.[1] ?? reason);

describe("what a citation covers", () => {
  test.each<[what: string, steps: Step[], reasons: string[]]>([
    ["the text before it", ["One is so. Two is so.", cite("u")], []],
    ["nothing after it", ["One is so.", cite("u"), " Two is so."], ["Two is so."]],
    ["text since the citation before", ["One is so.", cite("u"), " Two is so.", cite("v")], []],
    ["nothing of the paragraph before", ["One is so.\n\nTwo is so.", cite("u")], ["One is so."]],
    ["the paragraph that it ends, also after its blank line", ["One is so.\n\nTwo is so.\n\n", cite("u")], ["One is so."]],
    ["a list", ["- One is so\n- Two is so\n", cite("u")], []],
    ["a sentence that it stands in", ["One is so", cite("u"), ", as is known."], []],
    ["what it covers, in pieces", ["On", "e is", " so.", cite("u")], []],
    ["the same as one right before it", ["One is so.", cite("u"), " ", cite("v")], []],
    ["nothing without a source", ["One is so.", cite("")], ["One is so.", "a citation names no source"]],
    ["nothing before any text", [cite("u"), "One is so."], ["One is so."]],
  ])("%s", async (_, steps, reasons) => {
    expect(await uncited(...steps)).toEqual(reasons);
  });
});

describe("what a claim is", () => {
  test.each([
    "Bern is the capital.",
    "It rains.",
    "42",
    "The total is 7 apples",
    "東京は日本の首都です。",
    "Berne est la capitale.",
    "- Bern is the capital",
    "> Bern is the capital.",
    "| Bern | is the capital |",
    "**Bern** is the capital.",
    "However, it is not the largest!",
    "Hilary won the race.",
    "Surely, Bern is the capital.",
    "Ideas travel fast.",
    "Sure, Bern is the capital.",
    "Of course Bern is the capital.",
    "Best is the train.",
    "Thanks to the river, Bern grew.",
    "Please note that Bern is the capital.",
    "I can confirm that Bern is the capital.",
    "Here is what I found: Bern is the capital.",
    "I could not find it, but Bern is the capital.",
    "I hope this helps — Bern is the capital.",
    "If you want, Bern is the capital.",
    "Hello, Bern is the capital.",
  ])("%j is one", async (text) => {
    expect(await uncited(text)).toHaveLength(1);
  });

  test.each([
    "",
    "  \n\n ",
    "Is Bern the capital?",
    "首都は東京ですか？",
    "# Bern is the capital",
    "Bern and more\n=====",
    "**Bern and Basel**",
    "Here is what I found:",
    "The following cities are larger:",
    "Hello Ana!",
    "Good morning.",
    "Thank you for asking.",
    "Sure!",
    "Yes.",
    "I hope this helps.",
    "Let me know if you need more.",
    "I’m sorry, I could not find that.",
    "I can't find it.",
    "If you need more, just ask me.",
    "I’ll gladly look again.",
    "Hi there!",
    "Best regards,",
    "Here is the list.",
    "```\nBern is the capital.\n```",
    "~~~ts\nconst bern = 1;\n~~~",
    "---",
    "|---|:--|",
  ])("%j is none", async (text) => {
    expect(await uncited(text)).toEqual([]);
  });

  test("abbreviations end no sentence, and lines that go on are one", async () => {
    expect(await uncited("Dr. Ana Lee met J. Smith of the U.S. office, e.g. Bern.")).toHaveLength(1);
    expect(await uncited("Bern is the\ncapital of\nSwitzerland. Basel is not.")).toEqual([
      "Bern is the capital of Switzerland.",
      "Basel is not.",
    ]);
  });

  test("a long claim is told by its beginning", async () => {
    const [claim = ""] = await uncited(`It is ${"very ".repeat(100)}long.`);
    expect(claim).toMatch(/^It is very [very ]+…$/);
    expect(claim.length).toBeLessThanOrEqual(101);
  });
});

describe("quotes", () => {
  const source = "Page 1. “Bern” — the capital — is\n   a city; it’s ﬁne: 1 234 people…";
  const guardrail = citesItsSources({ sources: (uri) => (uri === "atlas" ? source : undefined) });
  const quoting = (quote: string, uri = "atlas") => finished(["Bern is the capital.", cite(uri, quote)]);

  test.each([
    "“Bern” — the capital",
    '"Bern" - the capital - is a city',
    "it's fine: 1 234 people...",
    "  the capital\n",
    "",
    "  ",
  ])("%j is in its source", async (quote) => {
    expect(await judge(guardrail, quoting(quote))).toEqual({ outcome: "pass" });
  });

  test.each(["Bern is the capital", "bern", "the capitals", "1234 people"])("%j is not", async (quote) => {
    expect(await reasonsOf(guardrail, quoting(quote))).toEqual([`the quote "${quote}" is not in "atlas"`]);
  });

  test("a source whose text is not known is only named", async () => {
    expect(await judge(guardrail, quoting("anything", "elsewhere"))).toEqual({ outcome: "pass" });
  });

  test("sources may be read when they are needed, each once", async () => {
    const read: string[] = [];
    const reading = citesItsSources({
      async sources(uri) {
        await turn();
        read.push(uri);
        return "Bern is the capital.";
      },
    });
    const task = finished(["One is so.", cite("u", "Bern is"), cite("u", "capital"), cite("v", "Basel"), cite("w")]);
    expect(await reasonsOf(reading, task)).toEqual(['the quote "Basel" is not in "v"']);
    expect(read).toEqual(["u", "v"]);
  });

  test("what tools gave is the source that it names", async () => {
    const found = gives({ pages: [{ url: "https://a.example/1", text: 'He said: "It\nrains".' }] });
    const task = (...steps: Step[]) => finished([found, gives("snow at b", { isError: true }), "It rains.", ...steps]);
    const check = citesItsSources();
    expect(await reasonsOf(check, task(cite("https://a.example/1", "“It rains”")))).toEqual([]);
    expect(await reasonsOf(check, task(cite("https://a.example/1", "It snows")))).toHaveLength(1);
    expect(await reasonsOf(check, task(cite("b", "anything")))).toEqual([]);
  });

  test("tools may give what is no JSON, and JSON that is nested without end", async () => {
    const nested = `${"[".repeat(5_000)}"u Bern"${"]".repeat(5_000)}`;
    const task = finished([
      givesText(nested),
      givesText("v: Basel {"),
      "It is so.",
      cite("u", "Bern"),
      cite("v", "Basel"),
      cite("v", "Bern"),
    ]);
    expect(await reasonsOf(citesItsSources(), task)).toEqual(['the quote "Bern" is not in "v"']);
  });
});
