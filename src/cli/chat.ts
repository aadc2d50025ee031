import { createInterface, type Interface } from "node:readline";
import { Command } from "commander";
import type { Chat } from "../client/index.ts";
import { type Citation, type ConverseResponse, ConverseResponseSchema, Status, type TurnFinished } from "../contract/index.ts";
import { cancelled } from "../core/index.ts";
import { codeName } from "../wire/index.ts";
import { jsonLine, sourceList } from "./print.ts";
import { connectTo, type TargetOptions, withTarget } from "./target.ts";

interface ChatCommandOptions extends TargetOptions {
  readonly conversation?: string;
}

export const command = withTarget(new Command("chat"))
  .description(
    "Hold a conversation with an agent: a line is a turn. Ctrl-C stops the running turn, Ctrl-D ends the conversation.",
  )
  .option("--conversation <id>", "a conversation to go on with (default: a new one)")
  .addHelpText(
    "after",
    `
Examples
  convoke chat localhost:50051
  convoke chat localhost:50051 --agent schedule
  printf '2 + 2\\nand 3 + 3?\\n' | convoke chat localhost:50051 --json`,
  )
  .action(async (target: string, options: ChatCommandOptions) => {
    const agents = connectTo(target, options);
    const hangUp = new AbortController();
    const { conversation } = options;
    const chat = agents.converse({
      signal: hangUp.signal,
      ...(conversation !== undefined && { conversationId: conversation }),
    });
    const lines = createInterface({
      input: process.stdin,
      output: process.stderr,
      prompt: "> ",
      terminal: process.stdin.isTTY,
    });
    const screen = new Screen(lines, options.json === true);
    readTurns(lines, { chat, screen, hangUp });
    try {
      for await (const response of chat) screen.show(response);
    } finally {
      lines.close();
      agents.close();
    }
  });

interface Turns {
  readonly chat: Chat;
  readonly screen: Screen;
  readonly hangUp: AbortController;
}

function readTurns(lines: Interface, { chat, screen, hangUp }: Turns): void {
  let ended = false;
  const interrupt = () => {
    if (screen.busy) chat.cancelTurn();
    else if (ended) hangUp.abort(cancelled("cancelled"));
    else lines.close();
  };
  lines.on("line", (line) => {
    if (line.trim() === "") return screen.prompt();
    screen.turnSent();
    chat.send(line);
  });
  lines.on("close", () => {
    ended = true;
    chat.end();
  });
  lines.on("SIGINT", interrupt); // on a terminal
  process.on("SIGINT", interrupt); // elsewhere
  screen.prompt();
}

/** What the person sees: a prompt while nothing runs, the answer as it comes, its sources after it. */
class Screen {
  readonly #lines: Interface;
  readonly #json: boolean;
  #running = 0;
  #citations: Citation[] = [];

  constructor(lines: Interface, json: boolean) {
    this.#lines = lines;
    this.#json = json;
  }

  get busy(): boolean {
    return this.#running > 0;
  }

  prompt(): void {
    if (process.stdin.isTTY && !this.busy) this.#lines.prompt();
  }

  turnSent(): void {
    this.#running++;
  }

  show(response: ConverseResponse): void {
    const { event } = response;
    if (this.#json) process.stdout.write(jsonLine(ConverseResponseSchema, response));
    else if (event.case === "text") process.stdout.write(event.value);
    else if (event.case === "citation") this.#citations.push(event.value);
    if (event.case === "turnFinished") this.#finish(event.value);
  }

  #finish({ error, status }: TurnFinished): void {
    if (status === Status.REQUIRES_TOOL_CALL)
      process.stderr.write("\nthe turn waits for a tool that this program cannot run\n");
    this.#running--;
    if (!this.#json) {
      process.stdout.write("\n");
      const failure = error === undefined ? "" : `${error.message} (${codeName(error.code)})\n`;
      process.stderr.write(failure + sourceList(this.#citations));
    }
    this.#citations = [];
    this.prompt();
  }
}
