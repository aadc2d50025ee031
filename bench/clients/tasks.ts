import { randomInt, randomUUID } from "node:crypto";
import { type ClientHttp2Session, connect } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Status } from "convoke";
import { AgentService, GetTaskRequestSchema, GetTaskResponseSchema, TaskRequestSchema } from "convoke/contract";
import { finishedTaskId } from "../finished-tasks.ts";
import { answerLines } from "../lines.ts";
import { createStreamRequest, envelope, question } from "../messages.ts";
import { type Latencies, latenciesOf, repeat } from "./client.ts";

/** One call after another, each timed. */
export type TasksJob =
  /** StreamResponse of a task with a name of its own, as Convoke's clients give it: until the first chunk is there. */
  | { readonly job: "first-chunk"; readonly chunks: number; readonly durationMs: number }
  /** StreamResponse of an agent's whole answer, in 10,000 pieces. */
  | { readonly job: "stream"; readonly agent: string; readonly durationMs: number }
  /** ProcessTask of an agent. */
  | { readonly job: "process"; readonly agent: string; readonly durationMs: number }
  /** GetTask of one of so many tasks that `finished-tasks.ts` has written. */
  | { readonly job: "get"; readonly tasks: number; readonly durationMs: number };

const headBytes = 5;

const session = connect(process.argv[2] ?? "");

/** Medians: from the request to the first chunk, and what each of the others took. */
export interface StreamTimes {
  readonly firstUs: number;
  readonly eachUs: number;
}

const tokens = 10_000;

answerLines(
  {},
  (job: TasksJob): Promise<Latencies | StreamTimes> => (job.job === "stream" ? timeStreams(job) : timeCalls(job)),
);

async function timeStreams(job: Extract<TasksJob, { job: "stream" }>): Promise<StreamTimes> {
  const firstMs: number[] = [];
  const eachMs: number[] = [];
  await repeat(job, 1, async () => {
    const times = await call(session, "streamResponse", questionTo(job.agent));
    firstMs.push(times.firstMs);
    eachMs.push((times.lastMs - times.firstMs) / tokens);
    return 1;
  });
  const median = (values: readonly number[]) => latenciesOf(Float64Array.from(values)).p50 * 1_000;
  return { firstUs: median(firstMs), eachUs: median(eachMs) };
}

function questionTo(agentId: string): Uint8Array {
  return toBinary(TaskRequestSchema, create(TaskRequestSchema, { agentId, content: question }));
}

async function timeCalls(job: Exclude<TasksJob, { job: "stream" }>): Promise<Latencies> {
  const latenciesMs: number[] = [];
  await repeat(job, 1, async () => {
    latenciesMs.push(await timeCall(job));
    return 1;
  });
  return latenciesOf(Float64Array.from(latenciesMs));
}

async function timeCall(job: Exclude<TasksJob, { job: "stream" }>): Promise<number> {
  if (job.job === "get") return await getOne(job.tasks);
  if (job.job === "first-chunk") return await streamOne(job.chunks);
  return (await call(session, "processTask", questionTo(job.agent))).lastMs;
}

async function streamOne(chunks: number): Promise<number> {
  const request = createStreamRequest({ agentId: "bursts", chunks, taskId: randomUUID() });
  const { firstMs } = await call(session, "streamResponse", toBinary(TaskRequestSchema, request));
  return firstMs;
}

async function getOne(tasks: number): Promise<number> {
  const taskId = finishedTaskId(randomInt(tasks));
  const { body, lastMs } = await call(
    session,
    "getTask",
    toBinary(GetTaskRequestSchema, create(GetTaskRequestSchema, { taskId })),
  );
  const { task } = fromBinary(GetTaskResponseSchema, body.subarray(headBytes));
  if (task?.taskId !== taskId || task.status !== Status.COMPLETED)
    throw new Error(`task ${taskId} came back as ${task?.taskId}`);
  return lastMs;
}

interface Answer {
  readonly body: Buffer;
  /** From the request to the first bytes of the body, and to the end. */
  readonly firstMs: number;
  readonly lastMs: number;
}

function call(session: ClientHttp2Session, method: keyof typeof AgentService.method, message: Uint8Array): Promise<Answer> {
  const path = `/${AgentService.typeName}/${AgentService.method[method].name}`;
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" });
    const parts: Buffer[] = [];
    let firstMs = 0;
    let status: unknown;
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("data", (bytes: Buffer) => {
      if (parts.push(bytes) === 1) firstMs = performance.now() - startMs;
    });
    stream.once("error", reject);
    stream.once("end", () => {
      const lastMs = performance.now() - startMs;
      if (status === "0" && parts.length > 0) resolve({ body: Buffer.concat(parts), firstMs, lastMs });
      else reject(new Error(`${path} ended with grpc-status ${status}`));
    });
    stream.end(envelope(message));
  });
}
