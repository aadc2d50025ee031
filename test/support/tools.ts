import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A program that tests call and did not write. */
export interface Tool {
  readonly name: string;
  /** Where it is; undefined when it is nowhere. */
  readonly path: string | undefined;
}

/** Where `.ci/tools` puts what it installs. Looked at first: those versions are pinned. */
const cacheFolders = [".cache/bin", ".cache/python/bin"].map((folder) =>
  fileURLToPath(new URL(`../../${folder}`, import.meta.url)),
);

/** Finds a program: where the environment variable says, where `.ci/tools` puts it, or on PATH. */
export function findTool(name: string, variable: string): Tool {
  const chosen = process.env[variable];
  if (chosen !== undefined && chosen !== "") return { name, path: chosen };
  const folders = [...cacheFolders, ...(process.env["PATH"] ?? "").split(delimiter)];
  const candidates = folders.filter((folder) => folder !== "").map((folder) => join(folder, name));
  return { name, path: candidates.find(isExecutable) };
}

/** A suite that needs a program: skipped when it is missing, with the reason in its name. */
export function describeWith(tool: Tool, title: string, tests: (path: string) => void): void {
  if (tool.path !== undefined) {
    const { path } = tool;
    describe(title, () => tests(path));
    return;
  }
  const reason = `skipped: ${tool.name} is not on PATH; bash .ci/tools installs it`;
  describe.skip(`${title} (${reason})`, () => tests("")); // only these tests need it, and .ci/run lets nothing be skipped
}

/** What a program gave. */
export interface ToolResult {
  /** The exit code; -1 when a signal ended it. */
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** How long one run of a tool may take: less than the timeout of a test, so that the failure tells which tool hung. */
const runTimeoutMs = 20_000;

/**
 * Runs a program to its end without blocking this process, in which the server runs.
 *
 * @throws Error when it cannot be started; a failing exit code is a result.
 */
export function runTool(path: string, args: readonly string[], input: string | Buffer = ""): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const options = { encoding: "buffer", timeout: runTimeoutMs, maxBuffer: 32 * 1024 * 1024 } as const;
    const child = execFile(path, args, options, (error, stdout, stderr) => {
      if (typeof error?.code === "string") return reject(error);
      resolve({ exitCode: error === null ? 0 : (error.code ?? -1), stdout, stderr: stderr.toString() });
    });
    child.stdin?.on("error", () => {}); // it may end before it has read everything
    child.stdin?.end(input);
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
