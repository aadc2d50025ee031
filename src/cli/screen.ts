import { createInterface, type Interface } from "node:readline";
import { ConnectError } from "@connectrpc/connect";
import {
  type ConverseResponse,
  ConverseResponseSchema,
  type InputRequest,
  Status,
  type TurnFinished,
} from "../contract/index.ts";
import { type Answer, createAnswer } from "./answer.ts";
import { describeCall } from "./failure.ts";
import { TypedLines } from "./lines.ts";
import { jsonLine, write } from "./print.ts";
import { howToReply, promptOf, questionText, type Reply, readReply, type WaitingTask } from "./question.ts";

interface RunningTurn {
  /** Asks the server to stop it. */
  readonly stop: () => void;
  /** Tells that it has ended, or waits for these. */
  readonly end: (asked: readonly InputRequest[]) => void;
  stopping: boolean;
}

/** What the person sees: a prompt while nothing runs, the answer as it comes, what it asks for, its sources after it. */
export class Screen {
  readonly lines: Interface;
  readonly #json: boolean;
  readonly #terminal = process.stdin.isTTY === true;
  readonly #typed: TypedLines;
  #answer: Answer = createAnswer();
  #running: RunningTurn | undefined;
  #asked: InputRequest[] = [];
  #waiting: WaitingTask | undefined;
  #closed = false;

  constructor(json: boolean) {
    this.#json = json;
    this.lines = createInterface({
      input: process.stdin,
      ...(this.#terminal && { output: process.stderr }), // else a pipe's lines would be echoed
      terminal: this.#terminal,
    });
    this.#typed = new TypedLines(this.lines);
    this.lines.on("close", () => {
      this.#closed = true;
      if (this.#terminal) process.stderr.write("\n"); // after the prompt
    });
  }

  /** The task that has asked, and has not been answered here. */
  get waiting(): WaitingTask | undefined {
    return this.#waiting;
  }

  /** The lines to send, with a prompt before each. */
  async *turns(): AsyncGenerator<string> {
    for (;;) {
      this.#prompt("> ");
      const line = await this.#typed.next();
      if (line === undefined) return;
      if (line.trim() !== "") yield line;
    }
  }

  /** Asks for all of it, one after another. @returns undefined when the lines end before. */
  async ask(requests: readonly InputRequest[]): Promise<Reply[] | undefined> {
    // A person cannot have meant what was typed before the question was there; a pipe can.
    if (this.#terminal) await this.#typed.setAside();
    const replies: Reply[] = [];
    for (const request of requests) {
      const reply = await this.#askFor(request);
      if (reply === undefined) return undefined;
      replies.push(reply);
    }
    this.#waiting = undefined;
    return replies;
  }

  /** Settles when the turn just sent, or answered, has ended or waits; gives what it waits for. */
  turnEnd(stop: () => void): Promise<readonly InputRequest[]> {
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
    this.#note(event);
    if (event.case === "turnFinished") await this.#finish(event.value, response.taskId);
  }

  /** Ends the line of an answer that broke off. */
  async endLine(): Promise<void> {
    await this.#answer.endLine().catch(() => {}); // what broke it off tells more
  }

  close(): void {
    this.lines.close();
  }

  /** Keeps what has been asked and not answered. */
  #note(event: ConverseResponse["event"]): void {
    if (event.case === "restartedFrom")
      this.#asked = []; // what was asked before that has been answered, or is void
    else if (event.case === "inputRequest") this.#asked.push(event.value);
    else if (event.case === "input") this.#asked = this.#asked.filter(({ inputId }) => inputId !== event.value.inputId);
  }

  #prompt(prompt: string): void {
    if (!this.#terminal || this.#closed) return;
    this.lines.setPrompt(prompt);
    this.lines.prompt();
  }

  async #askFor(request: InputRequest): Promise<Reply | undefined> {
    if (!this.#json) process.stderr.write(questionText(request));
    for (;;) {
      this.#prompt(promptOf(request));
      const line = await this.#typed.nextTyped();
      if (line === undefined) return undefined;
      const reply = readReply(request, line);
      if (reply !== undefined) return reply;
      if (line.trim() !== "") process.stderr.write(howToReply);
    }
  }

  #stopTurn(turn: RunningTurn): boolean {
    if (turn.stopping) return false;
    turn.stopping = true;
    turn.stop();
    return true;
  }

  async #finish({ status, error }: TurnFinished, taskId: string): Promise<void> {
    const requests = status === Status.REQUIRES_INPUT ? this.#asked : [];
    this.#waiting = requests.length > 0 ? { taskId, requests } : undefined;
    if (this.#waiting === undefined) await this.#endAnswer(error);
    else await this.#answer.endLine();
    this.#running?.end(requests);
    this.#running = undefined;
  }

  async #endAnswer(error: TurnFinished["error"]): Promise<void> {
    if (!this.#json) await (error === undefined ? this.#answer.end() : this.#answer.endLine());
    this.#answer = createAnswer();
    this.#asked = [];
    if (error === undefined) return;
    const { exit, sentence } = describeCall(new ConnectError(error.message, error.code));
    if (!this.#json) process.stderr.write(`convoke: ${sentence}\n`);
    if (!this.#terminal) process.exitCode ??= exit; // a person has seen it and gone on
  }
}
