import { Command, InvalidArgumentError, Option } from "commander";
import { type Task, TaskSchema, type TokenChunk, TokenChunkSchema } from "../contract/index.ts";
import { exitCodesHelp } from "./failure.ts";
import { watchInterrupts } from "./interrupts.ts";
import { jsonLine, write } from "./print.ts";
import { replay } from "./replay.ts";
import { type Called, connectTo, type ServerFlags, targetArgument, withServerFlags } from "./target.ts";
import { cancelLine, createTaskTable, durationText, eventLine, taskDetails, taskRow } from "./task-text.ts";
import { parseWholeNumber } from "./whole-number.ts";

export const command = withServerFlags(new Command("tasks"))
  .description(
    "See your tasks on a server: those at work, and those that have ended and are kept; play one back, answer one, cancel one.",
  )
  .addHelpText(
    "after",
    `
Tasks are their caller's: nobody else sees them. A server without a store keeps them for a quarter of an hour.

Examples
  convoke tasks list localhost:50051
  convoke tasks show localhost:50051 7f3a
  convoke tasks replay localhost:50051 7f3a --speed 4
  convoke tasks replay localhost:50051 7f3a --json | jq .elapsedMs
  convoke tasks answer localhost:50051 7f3a --approve
  convoke tasks cancel localhost:50051 7f3a
${exitCodesHelp}`,
  );

const taskArgument = ["<task>", "the task's id"] as const;

const list = part("list", "Print your tasks, one a line, in the order of their ids.").option(
  "--limit <number>",
  "the most tasks (default: all)",
  parseWholeNumber,
);

list.action(() =>
  withTasks(list, async ({ called, flags: { json = false }, signal }) => {
    const { limit = Number.POSITIVE_INFINITY } = list.opts<{ limit?: number }>();
    const table = createTaskTable();
    let count = 0;
    for await (const tasks of pages(called.list({ signal }), limit)) {
      const page = () => table.lines(tasks.map((task) => taskRow(task, Date.now())));
      await write(json ? tasks.map((task) => jsonLine(TaskSchema, task)).join("") : page());
      count += tasks.length;
    }
    if (count === 0 && !json) await write("there are no tasks\n");
  }),
);

const show = part("show", "Print where a task stands, and what it has answered so far.").argument(...taskArgument);

show.action(() =>
  withTasks(show, async ({ called, task, flags: { json = false }, signal }) => {
    const found = await called.get(task, { signal });
    await write(json ? jsonLine(TaskSchema, found) : taskDetails(found, Date.now()));
  }),
);

interface ReplayFlags {
  readonly speed?: number;
  readonly timing: boolean;
}

const replaying = part(
  "replay",
  "Play a task from its beginning, event by event as they came; one that is at work goes on live. Ends as the task did, and never stops it.",
)
  .argument(...taskArgument)
  .addOption(
    new Option("--speed <factor>", "how many times as fast as it was; 0: at once (default: 1, with --json 0)").argParser(
      parseFactor,
    ),
  )
  .option("--no-timing", "at once, as --speed 0");

replaying.action(() =>
  withTasks(replaying, async ({ called, task, flags: { json = false, timeout: timeoutMs }, signal }) => {
    const { speed = json ? 0 : 1, timing } = replaying.opts<ReplayFlags>();
    const chunks = called.stream({ taskId: task }, { timeoutMs: 0, resumeForMs: 5_000 });
    const screen = createScreen();
    const show = json ? (chunk: TokenChunk) => write(jsonLine(TokenChunkSchema, chunk)) : screen.show;
    const onLongPause = async (ms: number) => (json ? undefined : screen.line(`· nothing for ${durationText(ms)}\n`));
    try {
      await replay(chunks, { speed: timing ? speed : 0, signal, timeoutMs, show, onLongPause });
    } catch (thrown) {
      await screen.endLine().catch(() => {}); // the first failure tells more
      throw thrown;
    }
  }),
);

interface AnswerFlags {
  readonly approve?: boolean;
  readonly deny?: boolean;
  readonly text?: string;
  readonly input?: string;
}

const answering = part("answer", "Give a task what it asks somebody for, and print how it goes on.")
  .argument(...taskArgument)
  .addOption(new Option("--approve", "allow the tool call that it asks leave for").conflicts("deny"))
  .option("--deny", "do not allow it")
  .option("--text <words>", "the answer in words; with --approve and --deny, the reason")
  .option("--input <id>", "the one request to answer (default: all that are open get the same answer)");

answering.action(() =>
  withTasks(answering, async ({ called, task, flags: { json = false, timeout: timeoutMs }, signal }) => {
    const { approve, deny, text = "", input } = answering.opts<AnswerFlags>();
    const found = await called.get(task, { signal });
    const asked = found.response?.inputRequests.filter(({ inputId }) => input === undefined || inputId === input) ?? [];
    const isApproval = approve === true || deny === true;
    const inputs = asked.map(({ inputId }) => ({ inputId, text, ...(isApproval && { approved: approve === true }) }));
    if (inputs.length === 0)
      throw new InvalidArgumentError(`task "${task}" asks nobody for ${input === undefined ? "anything" : `"${input}"`}`);
    const screen = createScreen();
    const show = json ? (chunk: TokenChunk) => write(jsonLine(TokenChunkSchema, chunk)) : screen.show;
    const request = { taskId: task, inputs, fromIndex: found.nextIndex };
    for await (const chunk of called.stream(request, { signal, ...(timeoutMs !== undefined && { timeoutMs }) }))
      await show(chunk);
    if (!json) await screen.endLine();
  }),
);

const cancel = part("cancel", "Stop a task and everything that it called.").argument(...taskArgument);

cancel.action(() =>
  withTasks(cancel, async ({ called, task, flags: { json = false }, signal }) => {
    const cancelled = await called.cancel(task, { signal });
    await write(json ? jsonLine(TaskSchema, cancelled) : cancelLine(cancelled));
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
  /** The argument after the target. */
  readonly task: string;
  readonly flags: ServerFlags;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

async function withTasks(self: Command, action: (surroundings: Surroundings) => Promise<void>): Promise<void> {
  const flags: ServerFlags = self.optsWithGlobals();
  const [target = "", task = ""] = self.args;
  const called = await connectTo(target, flags);
  using interrupts = watchInterrupts();
  try {
    await action({ called, task, flags, signal: interrupts.signal });
  } catch (thrown) {
    throw interrupts.reason ?? thrown; // not closed: that would reset a replay's stream, and with it stop the task
  }
  called.close();
}

/** As many as are asked for at once. */
const pageSize = 100;

async function* pages(tasks: AsyncIterable<Task>, limit: number): AsyncGenerator<Task[], void, undefined> {
  let page: Task[] = [];
  let left = limit;
  if (left === 0) return;
  for await (const task of tasks) {
    page.push(task);
    if (--left === 0) break;
    if (page.length < pageSize) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

/** Text as it comes, and what is no text on lines of its own. */
function createScreen() {
  let isLineOpen = false;
  const endLine = async () => {
    if (isLineOpen) await write("\n");
    isLineOpen = false;
  };
  const line = async (text: string) => {
    await endLine();
    await write(text);
  };
  return {
    endLine,
    line,
    async show(chunk: TokenChunk) {
      const { text } = chunk;
      if (text === "") return await line(eventLine(chunk));
      await write(text);
      isLineOpen = !text.endsWith("\n");
    },
  };
}

function parseFactor(text: string): number {
  const factor = /^\d{1,4}(?:\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (factor <= 1_000) return factor;
  throw new InvalidArgumentError("write a number of 0 to 1000, such as 2 or 0.5");
}
