/**
 * A caller that sends one task again and again, as a process.
 *
 * Usage: sender.ts SENDING, which is {@link Sending} as JSON, started with an IPC channel: it says `{ ready: true }`, begins when it is told anything,
 * and answers with {@link Answers}.
 */
import { setTimeout as pause } from "node:timers/promises";
import { type Agents, ConnectError, connect, Status } from "../../src/index.ts";
import { createRandom } from "../support/random.ts";

export interface Sending {
  readonly urls: readonly string[];
  readonly task: { readonly taskId: string; readonly content: string };
  readonly seed: number;
  /** How often it is sent: half of that at once, the others in what time, at moments drawn from the seed. */
  readonly times: number;
  readonly withinMs: number;
}

/** How often each answer came, and each failure. */
export interface Answers {
  readonly answers: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
}

const { urls, task, seed, times, withinMs }: Sending = JSON.parse(process.argv[2] ?? "{}");
const random = createRandom(seed);
const servers = urls.map((url) => connect(url));

/** What ProcessTask says, or the same from StreamResponse. */
async function send(agents: Agents, isStream: boolean): Promise<string> {
  if (!isStream) {
    const { content, status } = await agents.process(task);
    return `${Status[status]} ${content}`;
  }
  let content = "";
  let status = "";
  let next = 0;
  for await (const chunk of agents.stream(task)) {
    if (chunk.index !== next++) throw new Error(`chunk ${chunk.index} came in place of ${next - 1}`);
    content += chunk.text;
    if (chunk.isFinal) status = Status[chunk.status];
  }
  return `${status} ${content}`;
}

async function sendAll(): Promise<Answers> {
  const answers: Record<string, number> = {};
  const failures: Record<string, number> = {};
  const count = (counts: Record<string, number>, key: string) => {
    counts[key] = (counts[key] ?? 0) + 1;
  };
  const sends = Array.from({ length: times }, async (_, number) => {
    const agents = servers[random(servers.length)] as Agents; // there are so many
    if (number >= times / 2) await pause(random(withinMs + 1));
    await send(agents, number % 2 === 0).then(
      (answer) => count(answers, answer),
      (thrown: unknown) => count(failures, ConnectError.from(thrown).message),
    );
  });
  await Promise.all(sends);
  for (const agents of servers) agents.close();
  return { answers, failures };
}

process.on("message", async () => void process.send?.(await sendAll()));
process.on("disconnect", () => process.exit()); // nobody asks any more
process.send?.({ ready: true });
