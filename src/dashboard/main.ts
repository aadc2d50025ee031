import { type AgentCalls, Code, ConnectError, connect } from "../web/index.ts";
import { loadAgents, showAgents } from "./agents.ts";
import { createComposer } from "./composer.ts";
import { find } from "./element.ts";
import { failureSentence } from "./failure.ts";
import { createFollower } from "./follower.ts";
import { limits } from "./limits.ts";
import type { Reply } from "./requests.ts";
import { createTurn } from "./turn.ts";

/** The task of the current turn. */
interface AskedTask {
  readonly calls: AgentCalls;
  readonly taskId: string;
  /** The number of the event to come. */
  next: number;
}

interface TurnRequest {
  readonly content: string;
  readonly conversationId: string;
  readonly inputs: Reply[];
}

const server = connect(new URL(".", document.baseURI).href);
const conversationId = randomId();
const turn = createTurn((replies) => void reply(replies));
const follower = createFollower(find("#end", HTMLDivElement), find(".talk", HTMLElement));
const composer = createComposer({ send: (question) => void answer(question), stop: () => stop() });

/** The agent to ask; "" is the server's default one, for when the list could not be had. */
let agent = "";
let task: AskedTask | undefined;
let stop = () => {};

async function answer(question: string): Promise<void> {
  const asked = { calls: server.agent(agent), taskId: randomId(), next: 0 };
  task = asked;
  find("#welcome", HTMLParagraphElement).hidden = true;
  turn.begin(question, agent);
  follower.start();
  const thrown = await follow(asked, { conversationId, content: question });
  if (thrown === undefined) return;
  fail("The answer failed", thrown);
  composer.restore(question);
}

/** Gives the task what it waits for, and follows it on. */
async function reply(inputs: readonly Reply[]): Promise<void> {
  const asked = task;
  if (asked === undefined) return;
  composer.focus();
  const { next } = asked;
  const thrown = await follow(asked, { inputs: [...inputs] });
  if (thrown === undefined) return;
  if (asked.next > next) return fail("The answer failed", thrown); // the task's own end, after what was given
  fail("Your answer was not taken", thrown);
  await lookAgain(asked);
}

/** After an answer that was not taken: the task may have gone on with somebody else's, wait still, or be gone. */
async function lookAgain(asked: AskedTask): Promise<void> {
  let hasGoneOn = false;
  try {
    hasGoneOn = (await asked.calls.get(asked.taskId, { timeoutMs: limits.lookTimeoutMs })).nextIndex > asked.next;
  } catch (thrown) {
    if (ConnectError.from(thrown).code === Code.NotFound) return;
  }
  if (asked !== task) return; // another question has been asked meanwhile
  if (!hasGoneOn) return follower.during(() => turn.end());
  turn.fail("Your answer was not taken: the task has gone on without it.");
  const thrown = await follow(asked, {});
  if (thrown !== undefined) fail("The answer failed", thrown);
}

/** Shows the task's events from the next one on. @returns what it failed with; undefined when it has ended, waits, or was stopped. */
async function follow(asked: AskedTask, request: Partial<TurnRequest>): Promise<unknown> {
  const { calls, taskId, next: fromIndex } = asked;
  const stopped = new AbortController();
  stop = () => {
    stopped.abort();
    // Over HTTP/1.1 the end of a call looks like a broken connection, which leaves the task running.
    calls.cancel(taskId).catch(() => {}); // the task may have ended, or never begun; the reader is gone either way
  };
  turn.work();
  composer.setWorking(true);
  try {
    for await (const chunk of calls.stream({ ...request, taskId, fromIndex }, { signal: stopped.signal })) {
      asked.next = chunk.index + 1;
      follower.during(() => turn.show(chunk));
    }
    follower.during(() => turn.end());
    return undefined;
  } catch (thrown) {
    if (!stopped.signal.aborted) return thrown;
    turn.end("Stopped");
    return undefined;
  } finally {
    composer.setWorking(false);
  }
}

function fail(what: string, thrown: unknown): void {
  follower.during(() => turn.fail(failureSentence(what, thrown)));
}

/** 128 random bits. `crypto.randomUUID` is missing on pages without TLS, which a server on a private network may be. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

try {
  showAgents(await loadAgents(), (card) => {
    agent = card.name;
    composer.address(card);
  });
} catch (thrown) {
  turn.fail(failureSentence("The list of agents cannot be shown", thrown));
}
