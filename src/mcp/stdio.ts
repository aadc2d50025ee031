import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import type { ConnectError } from "@connectrpc/connect";
import type { getDefaultEnvironment } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { deserializeMessage, serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js";
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js";
import { mcpBounds, resourceExhausted, unavailable } from "../core/index.ts";
import { type Line, tooLarge } from "./line.ts";
import { LineBuffer } from "./line-buffer.ts";
import { becomes, ProcessGroup } from "./process-group.ts";

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
  const { getDefaultEnvironment, StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  if (process.platform !== "win32")
    return new StdioLine(program, { ...(await import("@modelcontextprotocol/sdk/shared/stdio.js")), getDefaultEnvironment });
  // There are no groups, and commands such as npx are files that only cross-spawn, which the SDK has, can start.
  const { args = [], env = {} } = program;
  const maxBufferSize = mcpBounds.maxMessageBytes;
  const transport = new StdioClientTransport({ ...program, args: [...args], env: { ...env }, stderr: "ignore", maxBufferSize });
  return Object.assign(transport, { fault: undefined });
}

/**
 * A server as a child process (MCP 2025-11-25, Transports, stdio). It has a process group of its own: what `npx` and the like start ends with it, and
 * a Ctrl-C here is not its business. It keeps this process alive only while an answer, or its end, is waited for.
 */
class StdioLine implements Line {
  onclose?: NonNullable<Line["onclose"]>;
  onerror?: NonNullable<Line["onerror"]>;
  onmessage?: NonNullable<Line["onmessage"]>;
  fault: ConnectError | undefined;
  readonly #program: McpProgram;
  readonly #sdk: Sdk;
  readonly #received = new LineBuffer(mcpBounds.maxMessageBytes);
  #child: ChildProcessByStdio<Writable, Readable, null> | undefined;
  #group: ProcessGroup | undefined;
  #closing: Promise<void> | undefined;
  #isOver = false;

  constructor(program: McpProgram, sdk: Sdk) {
    this.#program = program;
    this.#sdk = sdk;
  }

  /** @throws what keeps the program from starting. */
  async start(): Promise<void> {
    const { command, args = [], env = {}, cwd } = this.#program;
    const child = spawn(command, args, {
      env: { ...this.#sdk.getDefaultEnvironment(), ...env },
      stdio: ["pipe", "pipe", "ignore"],
      detached: true,
      cwd,
    });
    await once(child, "spawn");
    this.#child = child;
    this.#group = new ProcessGroup(child);
    const failed = (error: Error) => this.onerror?.(error);
    child.stdin.on("error", failed); // it may end before it has read everything
    child.stdout.on("error", failed).on("data", (piece: Buffer) => this.#receive(piece));
    child.on("error", failed).once("close", () => this.#over());
    child.once("exit", () => void this.close()); // which ends what it has left behind, and who holds its output open
    for (const each of [child, child.stdin as Socket, child.stdout as Socket]) each.unref(); // pipes to a child are sockets
  }

  #receive(piece: Buffer): void {
    const { lines, isOver } = this.#received.add(piece);
    for (const line of lines) this.#take(line);
    if (isOver) this.#babbles();
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
    this.#child?.stdout.destroy();
    this.#group?.signal("SIGKILL"); // it does not listen
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
    this.#child?.stdin.end();
    await this.#group?.end();
    // What it wrote last is read, unless somebody outside the group holds its output open.
    if (this.#child !== undefined) await becomes(() => this.#isOver, mcpBounds.lastOutputMs);
    this.#over();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#child?.stdin.destroy();
    this.#child?.stdout.destroy();
    this.onclose?.();
  }
}
