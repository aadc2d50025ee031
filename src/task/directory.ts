import type { ConnectError } from "@connectrpc/connect";
import { type AgentDirectory, type AgentHandle, type AskOptions, cardOf, type Task } from "../agent/index.ts";
import { type InputRequest, Status } from "../contract/index.ts";
import {
  type AgentEvent,
  deadlineExceeded,
  type Envelope,
  envelopeHeaders,
  failedPrecondition,
  type Hop,
  notFound,
  resourceExhausted,
} from "../core/index.ts";
import { foldEvents } from "./answer.ts";
import { newId } from "./id.ts";
import type { Place } from "./place.ts";
import { type RemoteAgents, remoteEvents } from "./remote.ts";

/** How an agent of this server is run for another one. */
type RunLocal = (place: Place, task: Task) => AsyncIterable<AgentEvent>;

/** The agents that the one in this place can ask while it works on a task. */
export function directoryOf(place: Place, task: Task, run: RunLocal): AgentDirectory {
  const { agent, host } = place;
  const others = host.agents.filter((other) => other !== agent);
  return {
    cards: others.map(cardOf),
    capability(name) {
      const local = others.find((other) => other.capabilities.includes(name));
      if (local !== undefined) {
        const ask = (content: string, hops: readonly Hop[], { metadata = {} }: AskOptions) =>
          run({ ...place, agent: local, hops }, { ...task, ...asked, content, metadata });
        return handleOf(place, local.name, ask);
      }
      const remote = host.elsewhere?.(name);
      if (remote === undefined) throw notFound({ type: "capability", name });
      return handleOf(place, name, askRemote(place, task, { name, remote }));
    },
  };
}

/** Of what belongs to the task alone, an agent that is asked gets nothing, here as on other servers. */
const asked = { availableTools: [], toolResults: [], inputs: [], events: [] };

/** Asks an agent that is so many hops deep. */
type Ask = (content: string, hops: readonly Hop[], options: AskOptions) => AsyncIterable<AgentEvent>;

function handleOf(place: Place, name: string, ask: Ask): AgentHandle {
  async function* stream(content: string, options: AskOptions = {}) {
    for await (const event of ask(content, hopsBelow(place, name), options)) {
      if (event.case === "inputRequest") throw asksSomebody(name, event.value);
      yield event;
    }
  }
  return {
    stream,
    async process(content, options) {
      const events: AgentEvent[] = [];
      for await (const event of stream(content, options)) events.push(event);
      return foldEvents(events, { taskId: "", status: Status.COMPLETED });
    },
  };
}

/** Nobody is there whom the agent that asked could ask. */
function asksSomebody(agent: string, { prompt }: InputRequest): ConnectError {
  const description = `agent "${agent}" asks somebody for input, which an agent that asks it cannot give: ${prompt}`;
  return failedPrecondition({ type: "INPUT", subject: agent, description });
}

function askRemote(place: Place, { conversation }: Task, { name, remote }: { name: string; remote: RemoteAgents }): Ask {
  const { work } = place;
  const { meter } = work;
  return (content, hops, { metadata = {} }) => {
    const chain = chainOf(hops, name);
    const request = { taskId: newId(), content, metadata, conversationId: conversation?.id ?? "" };
    const envelope: Envelope = { hops, maxDepth: depthOf(place), ...meter.left, trace: work.envelope.trace };
    const options = { signal: work.signal, timeoutMs: work.deadlineMs - Date.now(), metadata: envelopeHeaders(envelope) };
    return remoteEvents(remote.stream(request, options), { meter, chain });
  };
}

/**
 * The agents above the one that is about to be called.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED when it cannot be called any more; both name the chain.
 */
function hopsBelow(place: Place, name: string): readonly Hop[] {
  const { agent, work, hops } = place;
  const below = [...hops, { agent: agent.name, caller: work.identity.name }];
  const chain = chainOf(below, name);
  const maxDepth = depthOf(place);
  if (below.length >= maxDepth) {
    const description = `agents call each other more than ${maxDepth} deep: ${chain}`;
    throw resourceExhausted({ subject: "call depth", description });
  }
  if (work.deadlineMs <= Date.now()) throw deadlineExceeded(`the time is over: ${chain}`);
  work.meter.call(chain);
  return below;
}

function depthOf({ work, host }: Place): number {
  return Math.min(host.limits.maxCallDepth, work.envelope.maxDepth ?? Number.POSITIVE_INFINITY);
}

function chainOf(hops: readonly Hop[], name: string): string {
  return [...hops.map(({ agent }) => agent), name].join(" → ");
}
