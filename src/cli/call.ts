import { ConnectError } from "@connectrpc/connect";
import { Command } from "commander";
import spinnerOf from "yocto-spinner";
import { Status, TaskResponseSchema, type TokenChunk, TokenChunkSchema } from "../contract/index.ts";
import { createAnswer } from "./answer.ts";
import { exitCodesHelp } from "./failure.ts";
import { readText } from "./input.ts";
import { watchInterrupts } from "./interrupts.ts";
import { jsonLine, write } from "./print.ts";
import { answerLater, questionText, type WaitingTask } from "./question.ts";
import { type Called, connectTo, resetsSent, type TargetOptions, withTarget } from "./target.ts";

interface CallCommandOptions extends TargetOptions {
  readonly stream?: boolean;
  readonly taskId?: string;
  readonly conversation?: string;
}

export const command = withTarget(new Command("call"))
  .description(
    "Hand one task to an agent and print its answer; sources, and what it waits for somebody to answer, go to standard error. " +
      "Ctrl-C cancels the task.",
  )
  .argument("[text]", "what is asked; without it, or with -, it is read from standard input. After -- it may begin with -")
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
  convoke call schedule@localhost:50050 "30 minutes with Ana"
  convoke call localhost:50051 --json "what is a task log?" | jq .citations
${exitCodesHelp}`,
  )
  .action(async (target: string, text: string | undefined, options: CallCommandOptions) => {
    const agents = await connectTo(target, options);
    const content = await readText(text, "there is nothing to ask");
    const task = { content, taskId: options.taskId ?? "", conversationId: options.conversation ?? "" };
    using interrupts = watchInterrupts();
    try {
      const output = { signal: interrupts.signal, json: options.json === true };
      const waiting = await (options.stream ? streamAnswer : printAnswer)(agents, task, output);
      if (waiting.requests.length > 0 && !output.json)
        process.stderr.write(waiting.requests.map(questionText).join("") + answerLater(waiting, target, options));
    } catch (thrown) {
      if (!(thrown instanceof ConnectError) || interrupts.signal.aborted) await resetsSent();
      throw interrupts.reason ?? thrown;
    } finally {
      agents.close();
    }
  });

interface Output {
  readonly signal: AbortSignal;
  readonly json: boolean;
}

type TaskInit = { content: string; taskId: string; conversationId: string };

/** @returns what the task waits for. */
async function printAnswer(agents: Called, task: TaskInit, { signal, json }: Output): Promise<WaitingTask> {
  const spinner = startSpinner();
  const response = await agents.process(task, { signal, ...resuming(spinner) }).finally(() => spinner?.stop());
  const { taskId, inputRequests: requests } = response;
  if (json) {
    await write(jsonLine(TaskResponseSchema, response));
    return { taskId, requests };
  }
  const answer = createAnswer();
  await answer.text(response.content.trimEnd());
  response.citations.forEach(answer.citation);
  await answer.end();
  return { taskId, requests };
}

/** @returns what the task waits for. */
async function streamAnswer(agents: Called, task: TaskInit, { signal, json }: Output): Promise<WaitingTask> {
  const spinner = startSpinner();
  const answer = createAnswer();
  let last: TokenChunk | undefined;
  try {
    for await (const chunk of agents.stream(task, { signal, ...resuming(spinner) })) {
      if (json || chunk.text !== "") spinner?.stop();
      if (chunk.restartedFrom !== undefined && !json) await answer.beginAnew();
      await (json ? write(jsonLine(TokenChunkSchema, chunk)) : answer.text(chunk.text));
      if (chunk.citation !== undefined) answer.citation(chunk.citation);
      last = chunk;
    }
  } catch (thrown) {
    spinner?.stop();
    await answer.endLine().catch(() => {}); // the first failure tells more
    throw thrown;
  }
  spinner?.stop();
  if (!json) await answer.end();
  const { taskId = "", status } = last ?? {};
  if (json || status !== Status.REQUIRES_INPUT) return { taskId, requests: [] };
  const { response } = await agents.get(taskId, { signal });
  return { taskId, requests: response?.inputRequests ?? [] };
}

/** How long somebody at a terminal waits for a server that has gone. */
const resumeForMs = 5_000;

/** A call that is cut off goes on when the server is back. */
function resuming(spinner: ReturnType<typeof startSpinner>) {
  const onResume = () => {
    if (spinner !== undefined) spinner.text = "the connection was lost; asking again";
  };
  return { resumeForMs, onResume };
}

/** Only on a terminal, and only on standard error: the answer stays clean. Signals are the call's: see {@link watchInterrupts}. */
function startSpinner() {
  if (!process.stderr.isTTY) return undefined;
  return spinnerOf({ text: "waiting for the agent", stream: process.stderr, handleSignals: false }).start();
}
