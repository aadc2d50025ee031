import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import { python, pythonStubs } from "./tools.ts";

/** A process of the benchmark: `lines.ts` is its other side. */
export interface Child {
  /** Asks it one thing. @throws Error when it says so, ends, or is not done in time. */
  ask<Reply>(question: object, timeoutMs?: number): Promise<Reply>;
  /** Ends it now, when a trial cannot leave that to the end of its case. */
  stop(): Promise<void>;
}

export interface ServerProcess extends Child {
  /** Scheme, host and port. */
  readonly url: string;
}

export interface ServerOptions {
  readonly tls?: boolean;
  /** For servers that cannot do both on one port: HTTP/1.1 instead of HTTP/2. */
  readonly http1?: boolean;
  /** Lets it be asked for its memory after a garbage collection. */
  readonly gc?: boolean;
  /** More of its command line, for the servers that take some. */
  readonly args?: readonly string[];
}

/** Starts the processes of one case and ends them all. */
export interface Processes {
  /** Starts `servers/<name>`. */
  startServer(name: string, options?: ServerOptions): Promise<ServerProcess>;
  /** Starts `clients/<name>` for a server. */
  startClient(name: string, url: string): Promise<Child>;
  /** Ends all of them. */
  stop(): Promise<void>;
}

/** To start, or to do a job beyond the time that the job itself is given. */
const patienceMs = 30_000;

export function createProcesses(): Processes {
  const running = new Set<ChildProcess>();
  const run = async <Ready>(file: string, args: readonly string[]) => {
    const [program, ...before] = extname(file) === ".py" ? [python(), "-u"] : [process.execPath];
    const child = spawn(program, [...before, ...args], { stdio: ["pipe", "pipe", "inherit"], env: environment() });
    running.add(child);
    child.once("exit", () => running.delete(child));
    const ask = createAsker(child, file);
    return { ready: await ask<Ready>(undefined, patienceMs), ask, stop: () => end(child) };
  };
  return {
    async startServer(name, options = {}) {
      const file = fileOf("servers", name);
      const flags = [...(options.tls ? ["--tls"] : []), ...(options.http1 ? ["--http1"] : [])];
      const { ready, ...child } = await run<{ port: number }>(file, [
        ...(options.gc ? ["--expose-gc"] : []),
        file,
        ...flags,
        ...(options.args ?? []),
      ]);
      return { url: `${options.tls ? "https" : "http"}://127.0.0.1:${ready.port}`, ...child };
    },
    async startClient(name, url) {
      const file = fileOf("clients", name);
      const { ask, stop } = await run(file, [file, url]);
      return { ask, stop };
    },
    async stop() {
      await Promise.all([...running].map(end));
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

function fileOf(folder: string, name: string): string {
  return join(import.meta.dirname, folder, name === "grpc.aio" ? "grpc_aio.py" : `${name}.ts`);
}

/** NODE_OPTIONS of the caller would reach every subject. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = process.env;
  return { ...rest, NODE_ENV: "production", PYTHONPATH: pythonStubs };
}

/** Questions go one after another; each line of the child's output answers the oldest one. */
function createAsker(child: ChildProcess, file: string) {
  const waiting: { resolve(line: string): void; reject(error: Error): void }[] = [];
  const fail = (reason: string) => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`${file} ${reason}`));
  };
  child.once("exit", (code, signal) => fail(`ended with ${signal ?? code}`));
  child.once("error", (error) => fail(`did not start: ${error.message}`));
  child.stdin?.on("error", () => {}); // it has ended, which "exit" tells
  if (child.stdout !== null) createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.resolve(line));
  return async <Reply>(question: object | undefined, timeoutMs = patienceMs): Promise<Reply> => {
    const timer = setTimeout(() => {
      fail(`did not answer in ${timeoutMs} ms`);
      child.kill("SIGKILL");
    }, timeoutMs);
    try {
      const line = await new Promise<string>((resolve, reject) => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${file} has ended`);
        waiting.push({ resolve, reject });
        if (question !== undefined) child.stdin?.write(`${JSON.stringify(question)}\n`);
      });
      const reply = JSON.parse(line) as Reply & { error?: string }; // our own child wrote it
      if (reply.error !== undefined) throw new Error(`${file}: ${reply.error}`);
      return reply;
    } finally {
      clearTimeout(timer);
    }
  };
}

/** How long a job of the given length may take. */
export function timeoutOf(durationMs: number): number {
  return 2 * durationMs + patienceMs;
}
