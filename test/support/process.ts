import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo, Server, Socket } from "node:net";
import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { describeWith, findTool } from "./tools.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** The built program; `npm test` builds it first. */
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** How a process ended, and all that it wrote. */
export interface Exit {
  /** The exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process at work. */
export interface Process {
  readonly child: ChildProcess;
  /** Settles when it has ended and its output is read. */
  readonly exit: Promise<Exit>;
  /**
   * Waits until the pattern stands in what it wrote to the stream after the last match, and gives the match.
   *
   * @throws Error when it ends without it.
   */
  seen(pattern: RegExp, stream?: "stdout" | "stderr"): Promise<RegExpExecArray>;
  /** Writes to its standard input and leaves it open. */
  type(text: string): void;
}

export interface ProcessOptions {
  /** All of its standard input. Default: nothing at all; "open" leaves it to {@link Process.type}. */
  readonly input?: string | "open";
  /** Differences from the environment of the tests. The program keeps its data in memory unless they say otherwise. */
  readonly env?: Record<string, string | undefined>;
  /** Default: the repository. */
  readonly cwd?: string;
}

const processes = new Set<Process>();

const servers = new Set<Server>();
const sockets = new Set<Socket>();

afterAll(async () => {
  for (const { child } of processes) child.kill("SIGKILL");
  await Promise.all([...processes].map(({ exit }) => exit));
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

/** Lets a server that is not ours listen, until the end of the test file, and gives its address. */
export async function listen(server: Server): Promise<string> {
  servers.add(server);
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // it listens at a port
  return `127.0.0.1:${port}`;
}

/** Starts the command line program. */
export function convoke(args: readonly string[], options: ProcessOptions = {}): Process {
  return startProgram([process.execPath, main, ...args], { ...options, env: { CONVOKE_DATA: "none", ...options.env } });
}

/** Runs it to its end. */
export function runConvoke(args: readonly string[], options: ProcessOptions = {}): Promise<Exit> {
  return convoke(args, options).exit;
}

/** Runs a line as a person pastes it into a shell, with this Node first on the PATH. */
export function paste(line: string, options: ProcessOptions = {}): Process {
  const PATH = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
  return startProgram(["bash", "--norc", "-o", "pipefail", "-c", line], { ...options, env: { PATH, ...options.env } });
}

/** The command line program, quoted for {@link paste}. */
export const quotedConvoke = `"${process.execPath}" "${main}"`;

const script = findTool("script", "SCRIPT");

/** Tests that need a terminal, which `script` of util-linux gives. */
export function describeInTerminal(title: string, tests: () => void): void {
  describeWith(script, title, tests);
}

/** Starts it in a terminal: what it writes, to standard output and error, comes as standard output, and keys go to its input. */
export function convokeInTerminal(args: readonly string[]): Process {
  const line = `exec ${quotedConvoke} ${args.map((arg) => `'${arg}'`).join(" ")}`;
  const env = { TERM: "xterm", CI: undefined, SHELL: "/bin/sh" }; // CI would keep the spinner still
  return startProgram([script.path ?? "", "-qec", line, "/dev/null"], { input: "open", env });
}

/** Starts any program. */
export function startProgram([file = "", ...args]: readonly string[], options: ProcessOptions = {}): Process {
  const { input = "", env = {}, cwd = root } = options;
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  const read = { stdout: 0, stderr: 0 };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      child.emit("output");
    });
  }
  child.stdin.on("error", () => {}); // it may end before it has read everything
  if (input !== "open") child.stdin.end(input);
  const exit = once(child, "close").then(([code]: (number | null)[]) => ({ code: code ?? null, ...output }));
  let ended = false;
  void exit.then(() => {
    ended = true;
    child.emit("output");
  });
  const started: Process = {
    child,
    exit,
    async seen(pattern, stream = "stdout") {
      for (;;) {
        const match = pattern.exec(output[stream].slice(read[stream]));
        if (match !== null) {
          read[stream] += match.index + match[0].length;
          return match;
        }
        if (ended) throw new Error(`it ended without ${pattern} in ${stream}: ${JSON.stringify(output)}`);
        await once(child, "output");
      }
    },
    type: (text) => void child.stdin.write(text),
  };
  processes.add(started);
  return started;
}
