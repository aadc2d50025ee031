import { ConnectError, connect, Status } from "convoke";

/** Streams one answer, whatever happens to the connection and to the server, and checks that it has each event once. */
const [url = "", agent = "", upTo = ""] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);

const agents = connect({ url, agent });
/** The text of each event that counts, by its number. */
const pieces = new Map<number, string>();
let taskId = "";
let events = 0;

say(`asks ${agent} for the numbers up to ${upTo}`);
try {
  for await (const chunk of agents.stream(upTo, { onResume })) {
    if (chunk.index !== events++) throw new Error(`event ${chunk.index} came, and not ${events - 1}`);
    taskId = chunk.taskId;
    if (chunk.restartedFrom !== undefined) beginAnew(chunk.restartedFrom);
    if (chunk.text !== "") pieces.set(chunk.index, chunk.text);
    if (chunk.text === "20 ") say(`has ${answer()}`);
  }
  say(`has the whole answer, of ${events} events none is missing and none came twice: ${answer()}`);
} catch (thrown) {
  await tellFailure(ConnectError.from(thrown));
}
agents.close();

/** The client asks again by itself; this is only told. */
function onResume({ fromIndex, attempt }: { fromIndex: number; attempt: number }): void {
  if (attempt === 1) say(`is cut off, and asks for event ${fromIndex} and those after it`);
}

/** The agent's server has died. What came from it is no part of the answer any more. */
function beginAnew(from: number): void {
  say(`hears that the agent begins anew, and forgets events ${from} to ${events - 2}`);
  for (const index of pieces.keys()) if (index >= from) pieces.delete(index);
}

/** What there was of the answer is kept, as the task's end is. */
async function tellFailure(error: ConnectError): Promise<void> {
  say(`fails: ${error.message}`);
  const { status, nextIndex } = await agents.get(taskId);
  say(`finds the task as it ended: ${Status[status]}, with ${nextIndex} events`);
  process.exitCode = 1;
}

function answer(): string {
  return [...pieces.values()].join("").trim();
}
