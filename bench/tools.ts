import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findTool } from "../test/support/tools.ts";

const root = join(import.meta.dirname, "..");

/** Where the stubs of the Python server are generated. */
export const pythonStubs = join(root, ".cache/bench/python");

/** A tool that the benchmark calls and did not bring, or why it cannot. */
export interface Tool {
  readonly name: string;
  readonly version: string | undefined;
  /** What to do when it is missing. */
  readonly hint: string;
}

/** Asks a program once for a line. */
function ask(program: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 10_000 }).trim();
  } catch {
    return undefined; // it is missing, or lacks a module
  }
}

let foundPython: string | undefined;

/** The first Python that has grpcio and its generator. */
export function python(): string {
  const candidates = [process.env["PYTHON"], join(root, ".cache/python/bin/python"), "python3"];
  foundPython ??= candidates.find(
    (each) => each !== undefined && ask(each, ["-c", "import grpc.aio, grpc_tools"]) !== undefined,
  );
  return foundPython ?? "python3";
}

export const h2load: Tool = {
  name: "h2load",
  version: ask("h2load", ["--version"])?.replace(/^h2load /, ""),
  hint: "apt-get install nghttp2-client",
};

/** Where `.ci/tools` puts it, or on PATH. */
export function natsServerPath(): string {
  return findTool("nats-server", "NATS_SERVER").path ?? "nats-server";
}

export const natsServer: Tool = {
  name: "nats-server",
  version: ask(natsServerPath(), ["--version"])?.replace(/^nats-server: v/, ""),
  hint: "bash .ci/tools",
};

export const grpcAio: Tool = {
  name: "a Python with grpcio and grpcio-tools",
  version: ask(python(), ["-c", "import grpc, grpc_tools; print(grpc.__version__)"]),
  hint: "python3 -m venv .cache/python && .cache/python/bin/python -m pip install grpcio==1.76.0 grpcio-tools==1.76.0",
};

/** Generates the stubs from the contract as first published. */
export function generatePythonStubs(): void {
  mkdirSync(pythonStubs, { recursive: true });
  const out = [`--python_out=${pythonStubs}`, `--grpc_python_out=${pythonStubs}`];
  const proto = join(root, "proto/agent");
  execFileSync(python(), ["-m", "grpc_tools.protoc", `-I${proto}`, ...out, "agent.proto"], { timeout: 60_000 });
}

/** The package that each subject is, where it is one. */
const packages: Readonly<Record<string, string>> = {
  convoke: ".",
  "agent-api": ".",
  "bare-wire": ".",
  "task-log": ".",
  "no-log": ".",
  sqlite: ".",
  nats: ".",
  "no-store": ".",
  "connect-node": "node_modules/@connectrpc/connect-node",
  "grpc-js": "node_modules/@grpc/grpc-js",
  "nice-grpc": "node_modules/nice-grpc",
  fastify: "node_modules/fastify",
  undici: "node_modules/undici",
  protobuf: "node_modules/@bufbuild/protobuf",
  "protobuf-es": "node_modules/@bufbuild/protobuf",
};

/** The version of a subject that was measured. */
export function versionOf(subject: string): string {
  if (subject === "grpc.aio") return grpcAio.version ?? "missing";
  const folder = packages[subject];
  const file = join(root, folder ?? "", "package.json");
  if (folder === undefined || !existsSync(file)) return `node ${process.versions.node}`; // fetch and JSON come with Node
  const { version }: { version: string } = JSON.parse(readFileSync(file, "utf8"));
  return version;
}
