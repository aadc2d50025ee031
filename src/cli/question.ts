import type { Input, InputRequest } from "../contract/index.ts";
import { printable } from "./print.ts";
import { shellQuote } from "./shell-quote.ts";
import type { ServerFlags } from "./target.ts";

/** A task that waits for somebody. */
export interface WaitingTask {
  readonly taskId: string;
  readonly requests: readonly InputRequest[];
}

/** What somebody answers. */
export type Reply = Pick<Input, "inputId" | "text"> & Partial<Pick<Input, "approved">>;

/** What is asked, on lines of its own. */
export function questionText({ prompt, toolCall }: InputRequest): string {
  const call = toolCall === undefined ? "" : `\n${toolCall.toolName} ${toolCall.argumentsJson}`;
  return `? ${printable(prompt + call).replaceAll("\n", "\n  ")}\n`;
}

/** What stands before the answer at a terminal. */
export function promptOf({ toolCall }: InputRequest): string {
  return toolCall === undefined ? "answer> " : "y or n, and why if you like> ";
}

/** What is said of a line that is no answer. */
export const howToReply = "convoke: y or yes allows the call, n or no refuses it; a reason may follow\n";

const verdict = /^(?:(y|yes|approve)|n|no|deny|refuse)(?:[\s,:]+(.*))?$/i;

/** A line as the answer: leave with a reason, or words. Undefined when it is none. */
export function readReply({ inputId, toolCall }: InputRequest, line: string): Reply | undefined {
  const text = line.trim();
  if (toolCall === undefined) return text === "" ? undefined : { inputId, text };
  const match = verdict.exec(text);
  return match === null ? undefined : { inputId, approved: match[1] !== undefined, text: match[2] ?? "" };
}

/** Says with which command a task that waits is answered later. */
export function answerLater({ taskId, requests }: WaitingTask, target: string, flags: ServerFlags): string {
  const [answer, more] = requests.some(({ toolCall }) => toolCall !== undefined)
    ? ["--approve", "or --deny; --text says why"]
    : ["--text '…'", "in your words"];
  const line = ["convoke tasks answer", shellQuote(target), shellQuote(taskId), ...callFlags(flags), answer].join(" ");
  return `convoke: the task waits for an answer, which can be given later:\n  ${line}  # ${more}\n`;
}

/** The options that the same server needs of another command. Headers may hold secrets: their names alone. */
function callFlags({ tlsCa, tlsCert, tlsKey, token, identity, protocol, header = [] }: ServerFlags): string[] {
  const values = { "tls-ca": tlsCa, "tls-cert": tlsCert, "tls-key": tlsKey, token, identity };
  return [
    ...Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name} ${shellQuote(value)}`])),
    ...header.map(([name]) => `-H ${shellQuote(`${name}: …`)}`),
    ...(protocol === "grpc" ? [] : [`--protocol ${protocol}`]),
  ];
}
