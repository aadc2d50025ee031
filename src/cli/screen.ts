import { createInterface, type Interface } from "node:readline";
import { ConnectError } from "@connectrpc/connect";
import { type ConverseResponse, ConverseResponseSchema, type TurnFinished } from "../contract/index.ts";
import { type Answer, createAnswer } from "./answer.ts";
import { describeCall } from "./failure.ts";
import { jsonLine, write } from "./print.ts";

interface RunningTurn {
  /** Asks the server to stop it. */
  readonly stop: () => void;
  /** Tells that it has ended. */
  readonly end: () => void;
  stopping: boolean;
}

/** What the person sees: a prompt while nothing runs, the answer as it comes, its sources after it. */
export class Screen {
  readonly lines: Interface;
  readonly #json: boolean;
  readonly #terminal = process.stdin.isTTY === true;
  #answer: Answer = createAnswer();
  #running: RunningTurn | undefined;
  #closed = false;

  constructor(json: boolean) {
    this.#json = json;
    this.lines = createInterface({
      input: process.stdin,
      ...(this.#terminal && { output: process.stderr }), // else a pipe's lines would be echoed
      terminal: this.#terminal,
      prompt: "> ",
    });
    this.lines.on("close", () => {
      this.#closed = true;
      if (this.#terminal) process.stderr.write("\n"); // after the prompt
    });
  }

  /** The lines to send, with a prompt before each. */
  async *turns(): AsyncGenerator<string> {
    this.#prompt();
    for await (const line of this.lines) {
      if (line.trim() !== "") yield line;
      this.#prompt();
    }
  }

  /** Settles when the turn just sent has ended. */
  turnEnd(stop: () => void): Promise<void> {
    return new Promise((end) => {
      this.#running = { stop, stopping: false, end };
    });
  }

  /** Ctrl-C at a terminal stops the turn, or takes back the line. False when there is neither: then the program ends. */
  interrupt(): boolean {
    if (!this.#terminal) return false;
    if (this.#running !== undefined) return this.#stopTurn(this.#running);
    if (this.#closed || this.lines.line === "") return false;
    this.lines.write(null, { ctrl: true, name: "e" });
    this.lines.write(null, { ctrl: true, name: "u" });
    return true;
  }

  async show(response: ConverseResponse): Promise<void> {
    const { event } = response;
    if (this.#json) await write(jsonLine(ConverseResponseSchema, response));
    else if (event.case === "text") await this.#answer.text(event.value);
    else if (event.case === "citation") this.#answer.citation(event.value);
    else if (event.case === "restartedFrom") await this.#answer.beginAnew();
    if (event.case === "turnFinished") await this.#finish(event.value);
  }

  /** Ends the line of an answer that broke off. */
  async endLine(): Promise<void> {
    await this.#answer.endLine().catch(() => {}); // what broke it off tells more
  }

  close(): void {
    this.lines.close();
  }

  #prompt(): void {
    if (this.#terminal && !this.#closed) this.lines.prompt();
  }

  #stopTurn(turn: RunningTurn): boolean {
    if (turn.stopping) return false;
    turn.stopping = true;
    turn.stop();
    return true;
  }

  async #finish({ error }: TurnFinished): Promise<void> {
    if (!this.#json) await (error === undefined ? this.#answer.end() : this.#answer.endLine());
    this.#answer = createAnswer();
    if (error !== undefined) {
      const { exit, sentence } = describeCall(new ConnectError(error.message, error.code));
      if (!this.#json) process.stderr.write(`convoke: ${sentence}\n`);
      if (!this.#terminal) process.exitCode ??= exit; // a person has seen it and gone on
    }
    this.#running?.end();
    this.#running = undefined;
  }
}
