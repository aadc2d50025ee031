import { lstat, readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { citation, defineAgent } from "convoke";
import MiniSearch from "minisearch";
import { type Passage, splitPassages } from "./passages.ts";

const maxFiles = 200;
const maxFileBytes = 256 * 1024;
const maxDepth = 5;
/** How many files and folders are looked at, Markdown or not. */
const maxLooks = 5000;
const maxTerms = 32;
const maxPassages = 3;
/** A passage that scores less than this part of the best one adds little to it. */
const minScoreRatio = 0.6;

const stopWords = new Set(
  `a about after all also an and any are as at be been before but by can could did do does each explain find for from get give
  happen happens has have how i if in into is it its let like make mean means me more most my need no not of on one only or our
  please should show so some such tell than that the their them then there these they this those to up us use used uses using
  want was way we were what when where whether which while who why will with without work works would you your`.split(/\s+/),
);

interface File {
  readonly path: string;
  /** Changes whenever the file does. */
  readonly stamp: string;
}

interface Library {
  readonly stamp: string;
  readonly files: readonly File[];
  readonly passages: readonly Passage[];
  readonly index: MiniSearch;
}

let library: Library | undefined;

/** Searches Markdown files: this project's documents, or the folder that CONVOKE_DOCS names. */
export default defineAgent({
  name: "research",
  description: "Answers questions from Markdown documents, in their own words, with file and lines.",
  capabilities: ["research"],
  examples: ["How do I define an agent?", "What happens when a connection breaks?", "How are tasks cancelled?"],
  async *run(task, ctx) {
    library = await openLibrary(library, ctx.signal);
    const found = search(library, task.content);
    if (found.length === 0) yield `Nothing in the documents answers that. ${searched(library)}\n`;
    for (const { file, heading, text, line } of found) {
      yield `${text}\n\n`;
      yield citation({ uri: file, title: heading, quote: text, line });
    }
  },
});

/** The same library as before, unless a file came, went or changed. */
async function openLibrary(known: Library | undefined, signal: AbortSignal): Promise<Library> {
  const folder = process.env["CONVOKE_DOCS"];
  const root = await realpath(folder ?? join(import.meta.dirname, "../..")).catch(() => "");
  const files = root ? await listFiles(root, folder === undefined ? ["README.md", "CONTRIBUTING.md", "docs"] : [""]) : [];
  const stamp = [root, ...files.map((file) => file.stamp)].join("\n");
  if (known?.stamp === stamp) return known;
  // A file that cannot be read, or is gone by now, counts as empty.
  const texts = await Promise.all(files.map(({ path }) => readFile(join(root, path), "utf8").catch(() => "")));
  signal.throwIfAborted();
  const passages = files.flatMap(({ path }, at) => splitPassages(path, texts[at] ?? ""));
  const index = new MiniSearch({ fields: ["text", "heading"], tokenize: wordsAndParts, processTerm: stem });
  index.addAll(passages.map(({ text, heading }, id) => ({ id, text, heading })));
  return { stamp, files, passages, index };
}

/** Markdown files in the order of their paths. Links are not followed, hidden folders and node_modules not entered. */
async function listFiles(root: string, start: readonly string[]): Promise<File[]> {
  const files: File[] = [];
  const queue = [...start];
  for (let looked = 0; looked < maxLooks && files.length < maxFiles; looked += 1) {
    const path = queue.shift();
    if (path === undefined) break;
    const stats = await lstat(join(root, path)).catch(() => undefined);
    if (stats?.isFile() && path.endsWith(".md") && stats.size <= maxFileBytes) {
      files.push({ path, stamp: `${path} ${stats.mtimeMs} ${stats.size}` });
    } else if (stats?.isDirectory() && path.split("/").length <= maxDepth) {
      const names = await readdir(join(root, path)).catch(() => []);
      const open = names.filter((name) => !name.startsWith(".") && name !== "node_modules").slice(0, maxLooks);
      queue.push(...open.map((name) => (path ? `${path}/${name}` : name)));
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The best passages that hold more than half of the question's telling words. */
function search({ index, passages }: Library, question: string): Passage[] {
  const terms = [...new Set(words(question).map(stem))].filter((term) => term !== null).slice(0, maxTerms);
  const asIs = { tokenize: (text: string) => text.split(" "), processTerm: (term: string) => term };
  const results = index.search(terms.join(" "), { ...asIs, boost: { heading: 1.5 } });
  const matching = results.filter(({ queryTerms }) => queryTerms.length > terms.length / 2);
  const best = matching.filter(({ score }) => score >= minScoreRatio * (matching[0]?.score ?? 0)).slice(0, maxPassages);
  return best.map(({ id }) => passages[Number(id)]).filter((passage) => passage !== undefined);
}

function searched({ files, passages }: Library): string {
  if (files.length === 0) return "There were none to search: set CONVOKE_DOCS to a folder with .md files.";
  const names = files.slice(0, 10).map(({ path }) => path);
  if (files.length > names.length) names.push(`${files.length - names.length} more`);
  return `Searched ${passages.length} passages of ${new Intl.ListFormat("en-GB").format(names)}.`;
}

function words(text: string): string[] {
  return text.match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** "defineAgent" is found as itself, and as "define" and "agent". */
function wordsAndParts(text: string): string[] {
  return words(text).flatMap((word) => [word, ...(/\p{Ll}\p{Lu}/u.test(word) ? word.split(/(?<=\p{Ll})(?=\p{Lu})/u) : [])]);
}

/** Brings "cancelled" and "cancels" together; words that say nothing become null, which MiniSearch leaves out. */
function stem(word: string): string | null {
  const term = word.toLowerCase();
  if (term.length < 2 || stopWords.has(term)) return null;
  const root = /^(\p{L}{3,}?)(?:ing|ed|es|s|e)$/u.exec(term)?.[1] ?? term;
  return root.replace(/y$/, "i").replace(/(\p{L})\1$/u, "$1");
}
