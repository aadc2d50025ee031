import { AgentService } from "convoke/contract";
import type { BenchCase, Subject } from "../case.ts";
import { chunksPerStream } from "../messages.ts";
import { countedServer } from "../streams.ts";

/** The same messages from both, to the same client. */
function subject(name: string, server: string): Subject {
  const agent = { name: "flood", chunks: chunksPerStream };
  const service = AgentService.typeName;
  return { ...countedServer(server, { service, contentType: "application/grpc", client: "streams-http2", agent }), name };
}

export const cases: readonly BenchCase[] = [
  {
    name: "task-log-streaming",
    title:
      "Server: what an agent yields, through its task's log in the process, beside a service without tasks; 4 streams of 2,000",
    unit: "messages/s",
    better: "higher",
    ours: "task-log",
    floors: { "no-log": { floor: 0.8 } },
    subjects: [subject("task-log", "tasks"), subject("no-log", "stream-only")],
  },
];
