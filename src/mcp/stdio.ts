import { type ChildProcess, spawn } from "node:child_process";
import type { ConnectError } from "@connectrpc/connect";
import type { getDefaultEnvironment } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { deserializeMessage, serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js";
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js";
import { mcpBounds, pause, resourceExhausted, timers, unavailable } from "../core/index.ts";
import { type Line, tooLarge } from "./line.ts";

/** A program that speaks on its standard input and output. */
export interface McpProgram {
  readonly command: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** What the MCP SDK has for it. */
interface Sdk {
  readonly deserializeMessage: typeof deserializeMessage;
  readonly serializeMessage: typeof serializeMessage;
  readonly getDefaultEnvironment: typeof getDefaultEnvironment;
}

/** A line to a program that is not started yet. */
export async function createStdioLine(program: McpProgram): Promise<Line> {
  const { getDefaultEnvironment } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  return new StdioLine(program, { ...(await import("@modelcontextprotocol/sdk/shared/stdio.js")), getDefaultEnvironment });
}

/**
 * A server as a child process (MCP 2025-11-25, Transports, stdio). It has a process group of its own: what `npx` and the like start ends with it, and
 * a Ctrl-C here is not its business.
 */
class StdioLine implements Line {
  onclose?: NonNullable<Line["onclose"]>;
  onerror?: NonNullable<Line["onerror"]>;
  onmessage?: NonNullable<Line["onmessage"]>;
  fault: ConnectError | undefined;
  readonly #program: McpProgram;
  readonly #sdk: Sdk;
  /** The beginning of a line. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #child: ChildProcess | undefined;
  #exit: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(program: McpProgram, sdk: Sdk) {
    this.#program = program;
    this.#sdk = sdk;
  }

  /** @throws what keeps the program from starting. */
  async start(): Promise<void> {
    const child = this.#spawn();
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject).once("spawn", resolve);
    });
    child.on("error", (error) => this.onerror?.(error));
    this.#child = child;
    this.#exit = new Promise((resolve) => child.once("exit", () => resolve()));
    this.#listen(child);
  }

  #spawn(): ChildProcess {
    const { command, args = [], env = {}, cwd } = this.#program;
    return spawn(command, args, {
      env: { ...this.#sdk.getDefaultEnvironment(), ...env },
      stdio: ["pipe", "pipe", "ignore"],
      detached: hasGroups,
      windowsHide: true,
      cwd,
    });
  }

  #listen(child: ChildProcess): void {
    const failed = (error: Error) => this.onerror?.(error);
    child.stdin?.on("error", failed); // it may end before it has read everything
    child.stdout?.on("error", failed).on("data", (chunk: Buffer) => this.#receive(chunk));
    let isOver = false;
    const over = () => {
      if (isOver) return;
      isOver = true;
      for (const stream of [child.stdin, child.stdout]) stream?.destroy();
      this.onclose?.();
    };
    // Who holds the output of a dead server open would keep "close" from coming.
    child.once("close", over).once("exit", () => timers.schedule(mcpBounds.lastOutputMs, over));
  }

  #receive(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      const line = Buffer.concat([...this.#begun, chunk.subarray(start, end)]);
      [this.#begun, this.#begunBytes] = [[], 0];
      start = end + 1;
      this.#take(line.toString());
    }
    this.#begun.push(chunk.subarray(start));
    this.#begunBytes += chunk.length - start;
    if (this.#begunBytes > mcpBounds.maxMessageBytes) this.#babbles();
  }

  #take(line: string): void {
    try {
      this.onmessage?.(this.#sdk.deserializeMessage(line));
    } catch (error) {
      this.onerror?.(error instanceof Error ? error : new Error("no message")); // a line that is none, such as what was printed by mistake
    }
  }

  #babbles(): void {
    this.fault = tooLarge();
    this.#begun = [];
    this.#child?.stdout?.destroy();
    if (this.#child !== undefined) signalGroup(this.#child, "SIGKILL"); // it does not listen
  }

  /** @throws ConnectError RESOURCE_EXHAUSTED when the server reads nothing; UNAVAILABLE when it has ended. */
  async send(message: JSONRPCMessage): Promise<void> {
    const input = this.#child?.stdin;
    if (!input?.writable) throw unavailable("the MCP server has ended", mcpBounds.retryMs);
    if (input.writableLength > mcpBounds.maxMessageBytes) {
      const description = `the MCP server has not read the last ${mcpBounds.maxMessageBytes} bytes, the most allowed`;
      throw resourceExhausted({ subject: "MCP input", description, retryMs: mcpBounds.retryMs });
    }
    input.write(this.#sdk.serializeMessage(message));
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  /** As MCP says (Lifecycle, Shutdown): its input ends, then SIGTERM, then SIGKILL. What it has started ends with it. */
  async #end(): Promise<void> {
    const [child, exit] = [this.#child, this.#exit];
    if (child === undefined || exit === undefined) return;
    child.stdin?.end();
    const hasEnded = exit.then(() => true);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const isOver = await Promise.race([hasEnded, pause(mcpBounds.closeMs).then(() => false)]);
      signalGroup(child, signal);
      if (isOver) return;
    }
    await Promise.race([exit, pause(mcpBounds.closeMs)]);
  }
}

const newline = 10;
const hasGroups = process.platform !== "win32";

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (hasGroups) process.kill(-child.pid, signal);
    else if (child.exitCode === null) child.kill(signal);
  } catch {
    // nobody of it is left
  }
}
