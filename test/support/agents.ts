import { Code, ConnectError } from "@connectrpc/connect";
import { citation, defineAgent, toolCall, usage } from "../../src/index.ts";

/** Says the content back, a word a piece, with every kind of event an agent has by itself. */
export const echo = defineAgent({
  name: "echo",
  capabilities: ["echo"],
  description: "Says it back.",
  examples: ["hello there"],
  async *run(task) {
    for (const word of task.content.split(" ")) yield `${word} `;
    yield usage({ prompt: 3, completion: 2 });
    yield citation({ uri: "task:content", title: "The question", quote: task.content, line: [1, 2] });
  },
});

/** Lets a test hold agents at work and see how they end. */
export function createGate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let started = () => {};
  const running = new Promise<void>((resolve) => {
    started = resolve;
  });
  let ended: (reason: unknown) => void = () => {};
  const stopped = new Promise<unknown>((resolve) => {
    ended = resolve;
  });
  const agent = defineAgent({
    name: "gated",
    async *run(_task, { signal }) {
      signal.addEventListener("abort", () => ended(signal.reason));
      yield "first";
      started();
      await opened;
      yield " second";
    },
  });
  return { agent, open, running, stopped };
}

/** Fails as the content says. */
export const failing = defineAgent({
  name: "failing",
  async *run(task) {
    yield "before ";
    if (task.content === "typed") throw new ConnectError("the calendar is read-only", Code.FailedPrecondition);
    throw new Error("secret: /etc/passwd");
  },
});

/** Asks the caller's tool `clock` once and says what it answered. */
export const asking = defineAgent({
  name: "asking",
  async *run(task) {
    const [result] = task.toolResults;
    if (result === undefined) yield toolCall({ id: "call-1", name: "clock", arguments: { zone: task.content } });
    else yield `it is ${result.resultJson}`;
  },
});

/** Tells what it remembers of the conversation. */
export const remembering = defineAgent({
  name: "remembering",
  async *run(task) {
    const turns = task.conversation?.turns ?? [];
    yield `${turns.length} before: ${turns.map((turn) => `${turn.content}=${turn.answer}`).join("; ")}`;
  },
});
