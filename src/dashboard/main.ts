import { connect } from "../web/index.ts";
import { loadAgents, showAgents } from "./agents.ts";
import { createComposer } from "./composer.ts";
import { find } from "./element.ts";
import { failureSentence } from "./failure.ts";
import { createFollower } from "./follower.ts";
import { createTurn } from "./turn.ts";

const server = connect(new URL(".", document.baseURI).href);
const conversationId = randomId();
const turn = createTurn();
const follower = createFollower(find("#end", HTMLDivElement), find(".talk", HTMLElement));
const composer = createComposer({ send: (question) => void answer(question), stop: () => stop() });

/** The agent to ask; "" is the server's default one, for when the list could not be had. */
let agent = "";
let stop = () => {};

async function answer(question: string): Promise<void> {
  const calls = server.agent(agent);
  const taskId = randomId();
  const stopped = new AbortController();
  stop = () => {
    stopped.abort();
    // Over HTTP/1.1 the end of a call looks like a broken connection, which leaves the task running.
    calls.cancel(taskId).catch(() => {}); // the task may have ended, or never begun; the reader is gone either way
  };
  find("#welcome", HTMLParagraphElement).hidden = true;
  turn.begin(question, agent);
  composer.setWorking(true);
  follower.start();
  try {
    for await (const chunk of calls.stream({ taskId, conversationId, content: question }, { signal: stopped.signal })) {
      follower.during(() => turn.show(chunk));
    }
    turn.end();
  } catch (thrown) {
    if (stopped.signal.aborted) {
      turn.end("Stopped");
    } else {
      follower.during(() => turn.fail(failureSentence("The answer failed", thrown)));
      composer.restore(question);
    }
  }
  composer.setWorking(false);
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
