import { answerLines } from "../lines.ts";

/** What a server is asked between trials. */
export type ServerQuestion = "cpu" | "memory" | "commits";

/** Time on the processor since the start, user and system. */
export interface CpuReply {
  readonly cpuUs: number;
}

/** After a garbage collection; needs `--expose-gc`. */
export interface MemoryReply {
  readonly rssBytes: number;
  readonly heapBytes: number;
}

export interface StartOptions {
  /** Set with `--tls`: a certificate made for this run. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Set with `--http1`, for servers that cannot speak both versions on one port. */
  readonly http1: boolean;
}

/**
 * The frame of every server process: starts it, prints its port, answers questions, ends with its standard input.
 *
 * @param takeCommits of servers that keep something.
 */
export async function runServer(
  start: (options: StartOptions) => Promise<number>,
  takeCommits: () => object = () => ({}),
): Promise<void> {
  const tls = process.argv.includes("--tls") ? await createTls() : undefined;
  const port = await start({ tls, http1: process.argv.includes("--http1") });
  const answers = { cpu, memory, commits: takeCommits };
  answerLines({ port }, ({ question }: { question: ServerQuestion }) => answers[question]());
}

/** Loaded only where it is needed, so that it weighs on no other measurement. */
async function createTls() {
  const { createCertificate } = await import("../../test/support/certificate.ts");
  return createCertificate();
}

function cpu(): CpuReply {
  const { user, system } = process.cpuUsage();
  return { cpuUs: user + system };
}

async function memory(): Promise<MemoryReply> {
  for (let round = 0; round < 3; round++) {
    await new Promise(setImmediate); // what the last events still hold is let go of
    globalThis.gc?.();
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed };
}
