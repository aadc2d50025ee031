import { readFile, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { setImmediate } from "node:timers/promises";
import { citation, defineAgent } from "convoke";
import { split } from "sentence-splitter";

const maxBytes = 1024 * 1024;
const maxPathChars = 300;
const maxSentences = 10;
const defaultSentences = 3;
/** The time that sentence-splitter takes grows with the square of its input, so a block of text goes in in pieces. */
const maxPieceChars = 4_000;
/** Shorter sentences count as if they had this many words, or "See the tasks." would be the best summary of them. */
const minTellingWords = 8;

/** Summarises a text in its own most telling sentences, or a file below the folder that CONVOKE_FILES names. */
export default defineAgent({
  name: "summarize",
  description: "Summarises a text, or a .md or .txt file, in its own sentences.",
  capabilities: ["summarize"],
  examples: ["Summarize README.md", "Summarize docs/architecture.md in 5 sentences", "Summarize in one sentence: …"],
  async *run(task, ctx) {
    try {
      const { subject, count } = readRequest(task.content);
      const { text, uri, title } = isPath(subject)
        ? await readDocument(subject)
        : { text: subject, uri: "text:", title: "The text" };
      const sentences = await splitSentences(plainBlocks(text), ctx.signal);
      if (sentences.length === 0) throw new Unanswerable(`${title} holds no sentences; I summarise prose.`);
      for (const [place, position] of mostTelling(sentences, count).entries()) {
        const quote = sentences[position] ?? "";
        yield place === 0 ? quote : ` ${quote}`;
        yield citation({ uri, title, quote, sentence: position + 1 });
      }
      if (sentences.length <= count) yield "\n\nThat is the whole text; it is too short to summarise.";
    } catch (error) {
      if (!(error instanceof Unanswerable)) throw error;
      yield error.message;
    }
  },
});

/** Its message tells the asker what was wrong and what would be right. */
class Unanswerable extends Error {}

const verb = "(?:(?:please|can you|could you|give me|write|an?|the)\\s+)*(?:summari[sz]e|summary of|sum up|shorten|tl;?dr)\\b";
const object = "(?:\\s+(?:this|the|following|text|file|document))+(?=\\s*:|\\s+in\\b|\\s+\\S+\\s*$)";
const command = new RegExp(`^\\s*${verb}(?:${object})?`, "i");
const names = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
const amount = `in (an?|\\d{1,3}|${names.join("|")}) sentences?`;
/** Only at either end: the text itself may speak of "in two sentences". */
const length = new RegExp(`^${amount}\\b|,?\\s${amount}\\W*$`, "i");

function readRequest(question: string) {
  if (question.length > maxBytes) throw new Unanswerable("That text is too long; I summarise at most 1 MiB.");
  const rest = question
    .replace(command, "")
    .trim()
    .replace(/,?\splease\W*$/i, "");
  const [, first, last = first ?? String(defaultSentences)] = length.exec(rest) ?? [];
  const subject = rest.replace(length, "").replace(/^\s*:/, "").trim();
  if (!subject) throw new Unanswerable('There is no text; write "summarize README.md", or "summarize:" and then the text.');
  const count = /^an?$/i.test(last) ? 1 : names.indexOf(last.toLowerCase()) + 1 || Number(last);
  return { subject, count: Math.min(Math.max(count, 1), maxSentences) };
}

function isPath(subject: string): boolean {
  return subject.length <= maxPathChars && /^\S+$/.test(subject) && /\/|\.\w{1,5}\W*$/.test(subject);
}

async function readDocument(subject: string) {
  const name = subject.replace(/^["'`]+|["'`?!.,]+$/g, "");
  const outside = new Unanswerable("I read files of one folder only; give me a path in it, such as README.md.");
  const root = await realpath(process.env["CONVOKE_FILES"] ?? join(import.meta.dirname, "../..")).catch(() => "");
  // Before the file is looked for, so that nobody learns what exists elsewhere; and again where its links lead.
  if (!root || !isBelow(root, resolve(root, name))) throw outside;
  const path = await realpath(resolve(root, name)).catch(() => "");
  if (path && !isBelow(root, path)) throw outside;
  const found = path ? await stat(path) : undefined;
  if (!found?.isFile()) throw new Unanswerable(`There is no file ${name}; give me its path, such as docs/guide.md.`);
  if (!/\.(?:md|txt)$/i.test(path)) throw new Unanswerable("I summarise .md and .txt files only.");
  if (found.size > maxBytes) throw new Unanswerable("That file is too large; I summarise at most 1 MiB.");
  const uri = relative(root, path);
  return { text: await readFile(path, "utf8"), uri, title: uri };
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** What is not prose, in the order in which it goes. Every repetition has a bound or a sure end: no text makes it slow. */
const markdown: readonly (readonly [RegExp, string])[] = [
  [/\r\n?/g, "\n"],
  [/^\uFEFF?---\n[\s\S]*?\n---\n/, ""],
  [/<!--[\s\S]*?(?:-->|$)/g, ""],
  [/^ {0,3}(```|~~~)[\s\S]*?(?:\n {0,3}\1.*|(?![\s\S]))/gm, ""],
  [/^ {0,3}(?:#{1,6}(?:[ \t].*)?|\|.*|.* \| .*|(?:[-*_] *){3,}|\[[^\]\n]+\]:.*)$/gm, ""],
  [/^.+\n(?:={3,}|-{3,}) *$/gm, ""],
  [/^[ \t]*>[ \t]?/gm, ""],
  [/^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+/gm, "\n"],
  [/!\[[^[\]\n]{0,500}\]\([^()\n]{0,500}\)/g, ""],
  [/\[([^[\]\n]{0,500})\](?:\([^()\n]{0,500}\)|\[[^[\]\n]{0,100}\])/g, "$1"],
  [/<\/?[a-z][^<>]{0,500}>/gi, ""],
  [/(?<!\w)(?:\*{1,3}|_{1,3})(?=\S)|(?<=\S)(?:\*{1,3}|_{1,3})(?!\w)|`/g, ""],
];

function plainBlocks(text: string): string[] {
  const plain = markdown.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);
  return plain.split(/\n[ \t]*\n/).map((block) => block.replace(/\s+/g, " ").trim());
}

async function splitSentences(blocks: readonly string[], signal: AbortSignal): Promise<string[]> {
  const sentences: string[] = [];
  for (const block of blocks) {
    for (const [piece] of block.matchAll(pieces)) {
      // A large file takes seconds: others get their turn in between.
      await setImmediate();
      signal.throwIfAborted();
      const nodes = split(piece).filter(({ type }) => type === "Sentence");
      sentences.push(...nodes.map(({ raw }) => raw.trim()).filter((sentence) => /\p{L}/u.test(sentence)));
    }
  }
  return sentences;
}

/** A piece ends with a sentence, unless that is longer than a piece may be. */
const pieces = new RegExp(`.{1,${maxPieceChars}}(?:(?<=[.!?])(?= )|$)|.{1,${maxPieceChars}}`, "g");

const stopWords = new Set(
  `about after all also and any are because been but can could did does each for from had has have how into its itself may more
  most not one only other our out over she should some such than that the their them then there these they this those through
  too under until upon very was were what when where which while who why will with would you your`.split(/\s+/),
);

/**
 * The positions of the sentences whose words the text uses most, in order. A word of a chosen sentence counts far less from
 * then on, so that the next one says something else (SumBasic, Nenkova and Vanderwende 2005). Early sentences have a bonus.
 */
function mostTelling(sentences: readonly string[], count: number): number[] {
  const bags = sentences.map(tellingWords);
  const share = new Map<string, number>();
  const total = bags.reduce((sum, bag) => sum + bag.length, 1);
  for (const bag of bags) for (const word of bag) share.set(word, (share.get(word) ?? 0) + 1 / total);
  const chosen = new Set<number>();
  while (chosen.size < Math.min(count, bags.length)) {
    let best = { position: 0, score: -1 };
    for (const [position, bag] of bags.entries()) {
      if (chosen.has(position)) continue;
      const sum = bag.reduce((sofar, word) => sofar + (share.get(word) ?? 0), 0);
      const score = (sum / Math.max(bag.length, minTellingWords)) * (1 + 1 / (position + 1));
      if (score > best.score) best = { position, score };
    }
    chosen.add(best.position);
    for (const word of bags[best.position] ?? []) share.set(word, (share.get(word) ?? 0) ** 2);
  }
  return [...chosen].sort((a, b) => a - b);
}

function tellingWords(sentence: string): string[] {
  if (sentence.endsWith(":")) return []; // it only announces what follows
  const words = new Set(sentence.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu));
  return [...words].filter((word) => !stopWords.has(word));
}
