import { type ClientHttp2Session, connect } from "node:http2";
import { toBinary } from "@bufbuild/protobuf";
import { TaskRequestSchema } from "convoke/contract";
import { createEnvelopeCounter } from "../envelopes.ts";
import { answerLines } from "../lines.ts";
import { chunksPerStream, createStreamRequest, envelope, requestBytes } from "../messages.ts";
import { repeat } from "./client.ts";

/** A stream of the server's, read as fast as it comes. */
export interface StreamsJob {
  readonly path: string;
  readonly contentType: string;
  readonly streams: number;
  readonly durationMs: number;
  /** The agent of `servers/tasks.ts` that is asked, and for how many chunks. Default: what every server of `routes.ts` sends. */
  readonly agent?: { readonly name: string; readonly chunks: number };
}

const defaultBody = envelope(requestBytes);

/** Counts envelopes and decodes nothing, so that the server is the bottleneck; wide windows, so that the network is none. */
const session = connect(process.argv[2] ?? "", { settings: { initialWindowSize: 4 * 1024 * 1024 } });
session.once("connect", () => session.setLocalWindowSize(64 * 1024 * 1024));

answerLines({}, (job: StreamsJob) => repeat(job, job.streams, () => readStream(session, job, bodyOf(job))));

function bodyOf({ agent }: StreamsJob): Uint8Array {
  if (agent === undefined) return defaultBody;
  return envelope(toBinary(TaskRequestSchema, createStreamRequest({ agentId: agent.name, chunks: agent.chunks })));
}

function readStream(session: ClientHttp2Session, { path, contentType, agent }: StreamsJob, body: Uint8Array): Promise<number> {
  const { chunks } = agent ?? { chunks: chunksPerStream };
  return new Promise((resolve, reject) => {
    const counter = createEnvelopeCounter();
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType, te: "trailers" });
    let status: unknown;
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("data", (bytes: Buffer) => counter.add(bytes));
    stream.once("error", reject);
    stream.once("end", () => {
      if (status === "0" && counter.count === chunks) resolve(counter.count);
      else reject(new Error(`${counter.count} messages and grpc-status ${status}`));
    });
    stream.end(body);
  });
}
