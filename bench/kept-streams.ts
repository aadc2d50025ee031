import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentService } from "convoke/contract";
import type { Context, Subject, Trial } from "./case.ts";
import type { Done } from "./clients/client.ts";
import type { StoreJob } from "./clients/store.ts";
import type { StreamsJob } from "./clients/streams-http2.ts";
import type { CommitsReply } from "./commits.ts";
import { timeoutOf } from "./processes.ts";
import type { CpuReply } from "./servers/server.ts";

/** Where tasks are kept, as the arguments of `servers/tasks.ts` and of `clients/store.ts`. */
export interface Place {
  readonly args: readonly string[];
  readonly address: string;
}

/** How agents yield; each is a part of the case. */
export const paces = ["flood", "bursts"] as const;

const streams = 100;
const chunks = 500;

/** A server whose tasks are kept at a place, or nowhere, with a hundred streams of each pace: events in a second that reach the caller. */
export function keptStreams(name: string, find: (context: Context) => Promise<Place | undefined>): Subject {
  return {
    name,
    async start(context) {
      const place = await find(context);
      const server = await context.processes.startServer("tasks", { args: place?.args ?? [] });
      const { ask } = await context.processes.startClient("streams-http2", server.url);
      const path = `/${AgentService.typeName}/${AgentService.method.streamResponse.name}`;
      const measure = async (pace: string, durationMs: number) => {
        const agent = { name: pace, chunks };
        const job: StreamsJob = { path, contentType: "application/grpc", streams, durationMs, agent };
        const before = await server.ask<CpuReply>({ question: "cpu" });
        await server.ask({ question: "commits" });
        const { count, elapsedMs } = await ask<Done>(job, timeoutOf(durationMs));
        const commits = await server.ask<CommitsReply>({ question: "commits" });
        const { cpuUs } = await server.ask<CpuReply>({ question: "cpu" });
        const notes = [`${((cpuUs - before.cpuUs) / count).toFixed(1)} µs of processor time for an event`];
        if (commits.commits > 0) notes.push(formatCommits(commits, elapsedMs));
        context.log(`${name}, ${pace}: ${notes.join("; ")}`);
        return (count / elapsedMs) * 1_000;
      };
      return async (durationMs) => {
        const values: number[] = [];
        for (const pace of paces) values.push(await measure(pace, durationMs));
        return values;
      };
    },
  };
}

/** The store of a place alone: a hundred logs, each with so many appends of eight entries at once. A task has one. */
export function storeAlone(name: string, find: (context: Context) => Promise<Place>, inFlight: number): Subject {
  return {
    name,
    async start(context): Promise<Trial> {
      const { address } = await find(context);
      const { ask } = await context.processes.startClient("store", address);
      return async (durationMs) => {
        const job: StoreJob = { logs: streams, inFlight, entries: 8, durationMs };
        const reply = await ask<Done & CommitsReply>(job, timeoutOf(durationMs));
        context.log(`${name}: ${formatCommits(reply, reply.elapsedMs)}`);
        return (reply.count / reply.elapsedMs) * 1_000;
      };
    },
  };
}

function formatCommits({ commits, appends, entries, waitedMs }: CommitsReply, elapsedMs: number): string {
  const each = (sum: number, count: number) => (sum / count).toFixed(1);
  return `a commit every ${each(elapsedMs, commits)} ms with ${each(appends, commits)} appends and ${each(entries, commits)} entries; an append takes ${each(waitedMs, appends)} ms`;
}

/** An SQLite file in a folder of its own, on the disk that TMPDIR names. */
export async function sqlitePlace({ afterwards }: Context): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), "convoke-bench-"));
  afterwards(() => rmSync(folder, { recursive: true, force: true }));
  const address = join(folder, "store.db");
  return { args: ["--sqlite", address], address };
}
