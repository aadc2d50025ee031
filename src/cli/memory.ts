import { create } from "@bufbuild/protobuf";
import { Command, InvalidArgumentError, Option } from "commander";
import { SearchResponseSchema, type ThreadEntry, ThreadEntrySchema, VerifyResponseSchema } from "../contract/index.ts";
import { exitCodesHelp } from "./failure.ts";
import { readText } from "./input.ts";
import { watchInterrupts } from "./interrupts.ts";
import { jsonLine, write } from "./print.ts";
import { type Called, connectTo, resetsSent, type ServerFlags, targetArgument, withServerFlags } from "./target.ts";
import { entryMark, entryText, searchText, stateText } from "./thread-text.ts";
import { parseWholeNumber } from "./whole-number.ts";

export const command = withServerFlags(new Command("memory"))
  .description("Append to, read, follow, search and check the threads that the callers of a server share.")
  .addHelpText(
    "after",
    `
Examples
  convoke memory append localhost:50051 plan "Tuesday at ten"
  convoke memory read localhost:50051 plan
  convoke memory tail localhost:50051 plan --last 3
  convoke memory search localhost:50051 'Tuesday -"at nine"'
  convoke memory verify localhost:50051 plan
${exitCodesHelp}`,
  );

const threadArgument = ["<thread>", "the thread's name"] as const;

interface AppendFlags {
  readonly kind?: string;
  readonly id?: string;
  readonly metadata?: Record<string, string>;
  readonly expectedLength?: number;
}

const append = part("append", "Append an entry, and print its number and hash.")
  .argument(...threadArgument)
  .argument(
    "[text]",
    "what is to be remembered; without it, or with -, it is read from standard input. After -- it may begin with -",
  )
  .option("-k, --kind <name>", "what it is (default: note)")
  .option("--id <id>", "its id in the thread, which makes the call repeatable")
  .option("-m, --metadata <key=value>", "a pair that goes with it; can be repeated", parsePair)
  .option("--expected-length <number>", "only if the thread has so many entries", parseWholeNumber);

append.action(() =>
  withMemory(append, async ({ called, words: [name, text], json, signal }) => {
    const { expectedLength, ...flags } = append.opts<AppendFlags>();
    const content = await readText(text, "there is nothing to append");
    const options = { signal, ...(expectedLength !== undefined && { expectedLength }) };
    const entry = await called.memory(name).append({ ...flags, content }, options);
    await write(json ? jsonLine(ThreadEntrySchema, entry) : `${entryMark(entry)}\n`);
  }),
);

const read = part("read", "Print the entries of a thread.")
  .argument(...threadArgument)
  .option("--from <number>", "the first entry (default: 0)", parseWholeNumber)
  .option("--limit <number>", "the most entries (default: all)", parseWholeNumber);

read.action(() =>
  withMemory(read, async ({ called, words: [name], json, signal }) => {
    const range = read.opts<{ from?: number; limit?: number }>();
    await writeEntries(called.memory(name).read({ ...range, signal }), json);
  }),
);

const tail = part("tail", "Print the last entries of a thread, then each that is appended, until Ctrl-C.")
  .argument(...threadArgument)
  .option("-n, --last <number>", "begin with so many (default: 10)", parseWholeNumber)
  .option("--from <number>", "begin with this entry", parseWholeNumber);

tail.action(() =>
  withMemory(tail, async ({ called, words: [name], json, signal }) => {
    const { last = 10, from } = tail.opts<{ last?: number; from?: number }>();
    const thread = called.memory(name);
    const first = from ?? Math.max((await thread.length({ signal })) - last, 0);
    await writeEntries(thread.tail({ from: first, signal }), json);
  }),
);

interface SearchFlags {
  readonly thread?: string;
  readonly prefix?: string;
  readonly kind?: string;
  readonly author?: string;
  readonly limit?: number;
}

const search = part("search", "Print the entries that have some words, the best first.")
  .argument("<query>", 'words, "phrases", and -words that must not be there')
  .addOption(new Option("--thread <name>", "only in this thread (default: in all)").conflicts("prefix"))
  .option("--prefix <name>", "only in threads whose names begin so")
  .option("-k, --kind <name>", "only entries of this kind")
  .option("--author <name>", "only entries of this author")
  .option("--limit <number>", "the most entries, up to 100 (default: 10)", parseWholeNumber);

search.action(() =>
  withMemory(search, async ({ called, words: [query = ""], json, signal }) => {
    const { thread, prefix, ...filters } = search.opts<SearchFlags>();
    const response = await called.memory(thread ?? prefix).search(query, { ...filters, signal, prefix: thread === undefined });
    await write(json ? jsonLine(SearchResponseSchema, response) : searchText(response));
  }),
);

interface VerifyFlags {
  readonly local?: boolean;
  readonly known?: { number: number; sha256: string };
}

const verify = part(
  "verify",
  "Walk the chain of a thread. One that is damaged is failure 1, which names the first entry that does not fit.",
)
  .argument(...threadArgument)
  .option("--local", "compute the hashes here, over all entries, instead of letting the server do it")
  .option(
    "--known <number:hash>",
    "an entry as append or verify printed it: it has to be in its place; means --local",
    parseMark,
  );

verify.action(() =>
  withMemory(verify, async ({ called, words: [name], json, signal }) => {
    const { local = false, known } = verify.opts<VerifyFlags>();
    const thread = called.memory(name);
    const there = await thread.verifyAtServer({ signal });
    const isHere = local || known !== undefined;
    const state = isHere ? await thread.verify({ from: there.first, signal, ...(known && { known }) }) : there;
    const { first: firstNumber, length, sha256 } = state;
    await write(
      json ? jsonLine(VerifyResponseSchema, create(VerifyResponseSchema, { firstNumber, length, sha256 })) : stateText(state),
    );
  }),
);

function part(name: string, description: string): Command {
  return command
    .command(name)
    .description(description)
    .argument(...targetArgument);
}

interface Surroundings {
  readonly called: Called;
  /** The arguments after the target. */
  readonly words: readonly string[];
  readonly json: boolean;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

async function withMemory(self: Command, action: (surroundings: Surroundings) => Promise<void>): Promise<void> {
  const options: ServerFlags = self.optsWithGlobals();
  const [target = "", ...words] = self.args;
  const called = await connectTo(target, options);
  using interrupts = watchInterrupts();
  try {
    await action({ called, words, json: options.json === true, signal: interrupts.signal });
  } catch (thrown) {
    await resetsSent();
    throw interrupts.reason ?? thrown;
  } finally {
    called.close();
  }
}

async function writeEntries(entries: AsyncIterable<ThreadEntry>, json: boolean): Promise<void> {
  for await (const entry of entries) await write(json ? jsonLine(ThreadEntrySchema, entry) : entryText(entry));
}

function parsePair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [, key, value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined) throw new InvalidArgumentError("write key=value");
  return { ...before, [key]: value };
}

function parseMark(text: string): { number: number; sha256: string } {
  const [, number, sha256] = /^(\d{1,10}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (number === undefined || sha256 === undefined) throw new InvalidArgumentError("write number:hash, as append prints it");
  return { number: Number(number), sha256 };
}
