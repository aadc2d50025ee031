import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { AgentService } from "convoke/contract";
import type { Subject } from "./case.ts";
import { answer, envelope, requestBytes, requestJson } from "./messages.ts";
import { type ServerOptions, timeoutOf } from "./processes.ts";
import { grpcAio } from "./tools.ts";

/** A call as bytes. */
export interface Request {
  readonly path: string;
  readonly contentType: string;
  readonly body: Uint8Array;
}

const path = `/${AgentService.typeName}/${AgentService.method.processTask.name}`;

/** The same unary call in each protocol. */
export const requests = {
  grpc: { path, contentType: "application/grpc", body: envelope(requestBytes) },
  grpcWeb: { path, contentType: "application/grpc-web+proto", body: envelope(requestBytes) },
  connectBinary: { path, contentType: "application/proto", body: requestBytes },
  connectJson: { path, contentType: "application/json", body: Buffer.from(requestJson) },
  /** The contract as first published: the same bytes under another name. */
  firstGrpc: { path: "/agent.AgentService/ProcessTask", contentType: "application/grpc", body: envelope(requestBytes) },
  rest: { path: "/tasks", contentType: "application/json", body: Buffer.from(requestJson) },
} satisfies Record<string, Request>;

/** How the calls are spread. */
export interface Load {
  readonly connections: number;
  /** Calls in flight on each connection. */
  readonly perConnection: number;
  readonly http1?: boolean;
}

export const batched: Load = { connections: 4, perConnection: 32 };
export const oneByOne: Load = { connections: 64, perConnection: 1 };
export const http1: Load = { ...oneByOne, http1: true };

/** Calls that were answered, and how many in a second. */
export interface LoadResult {
  readonly calls: number;
  readonly callsPerSecond: number;
}

const run = promisify(execFile);

/**
 * Loads a server by h2load, which is written in C and far from its own limit here.
 *
 * @throws Error when a call failed, or when the answers do not carry what they should: a gRPC error has HTTP status 200 too.
 */
export async function h2load(url: string, request: Request & Load, durationMs: number): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), "convoke-bench-"));
  try {
    const file = join(folder, "body");
    writeFileSync(file, request.body);
    const shape = request.http1
      ? ["--h1", "-c", request.connections]
      : ["-c", request.connections, "-m", request.perConnection];
    const headers = [`content-type: ${request.contentType}`, "te: trailers"].flatMap((header) => ["-H", header]);
    const args = ["-t", 1, ...shape, "-D", `${durationMs}ms`, "-d", file, ...headers, url + request.path].map(String);
    const { stdout } = await run("h2load", args, { timeout: timeoutOf(durationMs) });
    return parse(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function parse(output: string): LoadResult {
  const numberIn = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const calls = numberIn(/ (\d+) done,/);
  const succeeded = numberIn(/ (\d+) succeeded,/);
  const dataBytes = numberIn(/\((\d+)\) data/);
  const callsPerSecond = numberIn(/, ([\d.]+) req\/s/);
  const whole = calls > 0 && succeeded === calls && dataBytes / calls >= answer.length;
  if (!whole || Number.isNaN(callsPerSecond)) throw new Error(`h2load: calls failed or came back empty:\n${output}`);
  return { calls, callsPerSecond };
}

/** A server in its own process, loaded with one kind of call. */
export function loadedServer(name: string, request: Request & Load & { readonly server?: ServerOptions }): Subject {
  return {
    name,
    ...(name === "grpc.aio" && { needs: [grpcAio] }),
    async start({ processes }) {
      const { url } = await processes.startServer(name, request.server);
      return async (durationMs) => (await h2load(url, request, durationMs)).callsPerSecond;
    },
  };
}
