import { randomUUID } from "node:crypto";
import { allowsTools, Code, ConnectError, citesItsSources, type Guardrail, noSecrets, type TaskInput } from "convoke";
import { PreconditionFailureSchema, type TaskResponse, type TokenChunk } from "convoke/contract";
import { discover, reach } from "./reach.ts";

/** The third process: finds a specialist, asks it, verifies what it answers, and keeps what has passed. */
const [, registry = ""] = process.argv.slice(2);
const say = (line: string) => void process.stdout.write(`${line.replace(/\s+/g, " ")}\n`);

const endpoint = await discover("schedule", registry, say);
const scheduler = reach(endpoint, say);
const thread = scheduler.memory("launch");

/** What has to be true of an answer before it is used. */
const guardrails = [
  citesItsSources({ sources: entryText }),
  noSecrets(),
  allowsTools(["read_calendar", "find_free_time", "cite"]),
].map(told);

const wish = await thread.append({
  kind: "wish",
  content: "Ana would like to meet at half past three (UTC) or later on 1 December.",
  metadata: { person: "Ana", day: "2026-12-01", from: "2026-12-01T15:30:00Z", to: "2026-12-02T00:00:00Z" },
});
say(`appends to thread ${thread.name} as context: #${wish.number} ${wish.content}`);

await decide("30 minutes with Ana and Ben on 2026-12-01");
// Nothing is in Chloe's calendar on that day, so nothing stands behind what the specialist says of it.
await decide("30 minutes with Chloe on 2026-12-03");

for await (const { number, kind, content, sha256 } of thread.read()) say(`reads #${number} ${kind} ${sha256}: ${content}`);
const { length, sha256 } = await thread.verify({ known: wish });
say(`verifies the chain of ${length} entries: it ends with ${sha256}`);
scheduler.close();

/** Asks, shows the work as it happens, and appends the answer when it has passed. */
async function decide(content: string): Promise<void> {
  const task = { taskId: randomUUID(), content, metadata: { thread: thread.name } };
  say(`asks: ${content}, with thread ${thread.name}`);
  for await (const chunk of scheduler.stream(task)) tell(chunk);
  const answer = await verified(task);
  if (answer === undefined) return;
  const origin = { taskId: task.taskId, agent: endpoint.agent };
  const id = `${task.taskId}/decision`; // a second time changes nothing
  const entry = await thread.append({ id, kind: "decision", content: answer.content, origin });
  say(`appends the answer to thread ${thread.name}: #${entry.number} ${entry.sha256}`);
}

/** What a task came to, undefined when it does not pass. It does not run again: it is the same one, by its id, and is checked as a whole. */
async function verified(task: TaskInput): Promise<TaskResponse | undefined> {
  try {
    return await scheduler.process(task, { guardrails });
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const violations = error.findDetails(PreconditionFailureSchema).flatMap((details) => details.violations);
    const refusals = violations.filter(({ type }) => type === "GUARDRAIL");
    if (refusals.length === 0) throw error;
    for (const { subject, description } of refusals) {
      say(`does not use the answer (${Code[error.code]}), ${subject} refuses it: ${description}`);
    }
    return undefined;
  }
}

function tell({ text, toolCall, toolResult, citation, usage, isFinal, index }: TokenChunk): void {
  if (text !== "") say(`hears: ${text}`);
  if (toolCall !== undefined) say(`sees it call ${toolCall.toolName} ${toolCall.argumentsJson}`);
  if (toolResult !== undefined) say(`sees it ${toolResult.isError ? "fail" : "return"}: ${toolResult.resultJson}`);
  if (citation !== undefined) say(`is given the source ${citation.uri}: ${citation.quote}`);
  if (usage !== undefined) say(`is told of ${usage.promptTokens} + ${usage.completionTokens} tokens`);
  if (isFinal) say(`has the result, after ${index} events`);
}

/** Tells the verdict, too. */
function told(guardrail: Guardrail): Guardrail {
  return {
    name: guardrail.name,
    async check(...args) {
      const verdict = await guardrail.check(...args);
      say(`checks ${guardrail.name}: ${[verdict.outcome, ...("reasons" in verdict ? verdict.reasons : [])].join(", ")}`);
      return verdict;
    },
  };
}

/** What stands in the thread, as we read it ourselves; other sources are the results of tools, which the guardrail knows. */
async function entryText(uri: string): Promise<string | undefined> {
  const [, name, number] = /^memory:(.+)#(\d+)$/.exec(uri) ?? [];
  if (name !== thread.name) return undefined;
  for await (const { content } of thread.read({ from: Number(number), limit: 1 })) return content;
  return undefined;
}
