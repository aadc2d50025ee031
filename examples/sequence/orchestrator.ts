import { randomUUID } from "node:crypto";
import { allowsTools, ConnectError, citesItsSources, connect, type Guardrail, noSecrets } from "convoke";
import { certificatesOf } from "../certificates.ts";

/** The third process: discovers who can plan, hands over a task, verifies what comes back, and keeps it. */
const [, registry = ""] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);

const agents = connect({ registry, tls: certificatesOf("orchestrator").client, timeoutMs: 10_000 });
const guardrails = [citesItsSources(), allowsTools(["free_slots", "rooms", "cite"]), noSecrets()].map(telling);

/** Says what a guardrail thinks. */
function telling(guardrail: Guardrail): Guardrail {
  return {
    ...guardrail,
    async check(...of) {
      const verdict = await guardrail.check(...of);
      say(`verifies: ${guardrail.name} says ${verdict.outcome}`);
      return verdict;
    },
  };
}

try {
  await discover();
  const planner = agents.capability("plan");
  const thread = planner.memory("meeting");
  await thread.append({
    id: "wish-1",
    kind: "wish",
    content: "Ben: not before noon, please",
    metadata: { not_before: "12:00" },
  });

  const task = { taskId: randomUUID(), content: "30 minutes with Ana and Ben on Tuesday" };
  say(`hands over: ${task.content}`);
  for await (const { toolCall, toolResult, citation, text } of planner.stream(task)) {
    if (toolCall !== undefined) say(`sees the call of ${toolCall.toolName} ${toolCall.argumentsJson}`);
    if (toolResult !== undefined) say(`sees its result ${toolResult.resultJson}`);
    if (text.trim() !== "") say(`reads: ${text.trim()}`);
    if (citation !== undefined)
      say(`sees the source ${citation.title}, "${citation.quote}", sha256 ${citation.sourceSha256.slice(0, 12)}…`);
  }

  // The task is a log: asked for again by its id, it is not run again, and what all of it comes to can be verified.
  const { content, citations } = await planner.process({ taskId: task.taskId }, { guardrails });
  say(`has a verified answer with ${citations.length} sources`);

  await thread.append({ id: `${task.taskId}/answer`, kind: "answer", content });
  for await (const { number, kind, sha256 } of thread.read())
    say(`finds entry ${number} of the thread: ${kind}, sha256 ${sha256.slice(0, 12)}…`);
  const { length } = await thread.verify();
  say(`has verified the chain of ${length} entries`);

  const guessing = { content: task.content, metadata: { guess: "yes" } };
  await planner
    .process(guessing, { guardrails })
    .catch((thrown: unknown) => say(`refuses a guess: ${ConnectError.from(thrown).message}`));
} finally {
  agents.close();
}

async function discover(): Promise<void> {
  for await (const [endpoint] of agents.watch({ capability: "plan" }, { signal: AbortSignal.timeout(10_000) })) {
    if (endpoint === undefined) continue; // it may be there soon
    say(`discovers ${endpoint.agent} at ${endpoint.url}`);
    say(`expects it to prove ${endpoint.identity}, and to serve contract ${endpoint.contractSha256.slice(0, 12)}…`);
    return;
  }
}
