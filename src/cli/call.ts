import { text as readAll } from "node:stream/consumers";
import { Command } from "commander";
import spinnerOf from "yocto-spinner";
import type { Agents } from "../client/index.ts";
import { type Citation, Status, TaskResponseSchema, TokenChunkSchema, type ToolCall } from "../contract/index.ts";
import { cancelled } from "../core/index.ts";
import { UsageError } from "./failure.ts";
import { jsonLine, sourceList, toolCallList } from "./print.ts";
import { connectTo, type TargetOptions, withTarget } from "./target.ts";

interface CallCommandOptions extends TargetOptions {
  readonly stream?: boolean;
  readonly taskId?: string;
  readonly conversation?: string;
}

export const command = withTarget(new Command("call"))
  .description("Hand one task to an agent and print its answer; sources go to standard error.")
  .argument("[text]", "what is asked; without it, or with -, it is read from standard input")
  .option("-s, --stream", "print the answer as it comes; with --json, one event a line")
  .option("--task-id <id>", "the task's id, which makes the call repeatable")
  .option("--conversation <id>", "the conversation that this is a turn of")
  .addHelpText(
    "after",
    `
Examples
  convoke call localhost:50051 "what is 17% of 2,350 EUR?"
  convoke call localhost:50051 --agent schedule --stream "30 minutes with Ana and Ben"
  convoke call localhost:50051 --agent summarize < article.txt
  convoke call localhost:50051 --json "what is a task log?" | jq .citations

Exit codes
  0 answered · 1 the agent failed · 2 wrong usage · 3 server not reachable · 4 not found · 5 request refused
  6 not allowed · 7 too much asked · 8 deadline · 130 cancelled`,
  )
  .action(async (target: string, text: string | undefined, options: CallCommandOptions) => {
    const task = {
      content: await contentOf(text),
      taskId: options.taskId ?? "",
      conversationId: options.conversation ?? "",
    };
    const agents = connectTo(target, options);
    const interrupt = new AbortController();
    const onInterrupt = () => interrupt.abort(cancelled("cancelled"));
    process.once("SIGINT", onInterrupt); // the call is cancelled first, so that the agent stops too
    try {
      await (options.stream ? streamAnswer : printAnswer)(agents, task, {
        signal: interrupt.signal,
        json: options.json === true,
      });
    } finally {
      process.off("SIGINT", onInterrupt);
      agents.close();
    }
  });

interface Output {
  readonly signal: AbortSignal;
  readonly json: boolean;
}

type TaskInit = { content: string; taskId: string; conversationId: string };

async function printAnswer(agents: Agents, task: TaskInit, { signal, json }: Output): Promise<void> {
  const spinner = startSpinner();
  const answer = await agents.process(task, { signal }).finally(() => spinner?.stop());
  if (json) {
    process.stdout.write(jsonLine(TaskResponseSchema, answer));
    return;
  }
  process.stdout.write(`${answer.content.trimEnd()}\n`);
  const open = answer.status === Status.REQUIRES_TOOL_CALL ? answer.toolCalls : [];
  process.stderr.write(sourceList(answer.citations) + toolCallList(open));
}

async function streamAnswer(agents: Agents, task: TaskInit, { signal, json }: Output): Promise<void> {
  let spinner = startSpinner();
  const citations: Citation[] = [];
  let toolCalls: ToolCall[] = [];
  try {
    for await (const chunk of agents.stream(task, { signal })) {
      spinner?.stop();
      spinner = undefined;
      process.stdout.write(json ? jsonLine(TokenChunkSchema, chunk) : chunk.text);
      if (chunk.citation !== undefined) citations.push(chunk.citation);
      if (chunk.toolCall !== undefined) toolCalls.push(chunk.toolCall);
      if (chunk.status === Status.COMPLETED) toolCalls = [];
    }
  } finally {
    spinner?.stop();
    if (!json) process.stdout.write("\n");
  }
  if (!json) process.stderr.write(sourceList(citations) + toolCallList(toolCalls));
}

/** Only on a terminal, and only on standard error: the answer stays clean. */
function startSpinner() {
  return process.stderr.isTTY ? spinnerOf({ text: "waiting for the agent", stream: process.stderr }).start() : undefined;
}

async function contentOf(text: string | undefined): Promise<string> {
  if (text !== undefined && text !== "-") return text;
  if (process.stdin.isTTY) throw new UsageError("there is nothing to ask; add the text, or give it on standard input");
  return (await readAll(process.stdin)).trimEnd();
}
