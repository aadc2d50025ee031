import { AgentService } from "convoke/contract";
import type { BenchCase, Subject } from "../case.ts";
import type { IdleJob, IdleReply } from "../clients/idle-streams.ts";
import type { MemoryReply } from "../servers/server.ts";

const path = `/${AgentService.typeName}/${AgentService.method.streamResponse.name}`;
const connections = 20;
const streamsPerConnection = { quick: 100, full: 500 };

/** A process of its own for every run, since memory that was used once is not given back. */
function subject(name: string): Subject {
  return {
    name,
    async start({ processes, quick }) {
      const job: IdleJob = {
        path,
        connections,
        streamsPerConnection: quick ? streamsPerConnection.quick : streamsPerConnection.full,
      };
      return async () => {
        const server = await processes.startServer(name, { gc: true });
        const warmUp = await processes.startClient("idle-streams", server.url);
        await warmUp.ask({ ...job, connections: 1 }, 60_000);
        const before = await server.ask<MemoryReply>({ question: "memory" });
        const client = await processes.startClient("idle-streams", server.url);
        await client.ask(job, 60_000);
        const after = await server.ask<MemoryReply>({ question: "memory" });
        const streams = job.connections * job.streamsPerConnection;
        const { open } = await client.ask<IdleReply>({ ...job, connections: 0 });
        if (open !== streams) throw new Error(`${open} of ${streams} streams were open`);
        await Promise.all([client.stop(), warmUp.stop(), server.stop()]);
        return [(after.rssBytes - before.rssBytes) / streams, (after.heapBytes - before.heapBytes) / streams];
      };
    },
  };
}

export const cases: readonly BenchCase[] = [
  {
    name: "idle-streams",
    title: "Server: memory of a stream that waits, 10,000 over 20 connections",
    unit: "bytes/stream",
    better: "lower",
    runs: 3,
    parts: ["rss", "heap"],
    floors: { "grpc-js": { floor: 1, aim: 2 } },
    subjects: ["convoke", "connect-node", "grpc-js"].map(subject),
  },
];
