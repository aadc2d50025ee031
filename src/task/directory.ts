import type { ConnectError } from "@connectrpc/connect";
import { type AgentDirectory, type AgentHandle, type AskOptions, cardOf, type Task } from "../agent/index.ts";
import { type InputRequest, Status } from "../contract/index.ts";
import {
  type AgentEvent,
  abortError,
  deadlineExceeded,
  type Envelope,
  envelopeHeaders,
  failedPrecondition,
  type Hop,
  notFound,
  resourceExhausted,
} from "../core/index.ts";
import { foldEvents } from "./answer.ts";
import { askEvents, checkAskOptions, deadlineOf } from "./ask-work.ts";
import { newId } from "./id.ts";
import type { Place, Work } from "./place.ts";
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
        const ask: Ask = (content, { work, hops }, { metadata = {} }) =>
          run({ ...place, agent: local, work, hops }, { ...task, ...asked, content, metadata });
        return handleOf(place, { name: local.name, capability: name, ask });
      }
      const remote = host.elsewhere?.find(name);
      if (remote === undefined) throw notFound({ type: "capability", name });
      return handleOf(place, { name, capability: name, ask: askRemote(place, task, { name, remote }) });
    },
  };
}

/** Whether somebody else has a capability, here or on another server. @throws ConnectError as {@link AgentsElsewhere.has}. */
export async function hasOther({ agent, host, work }: Place, capability: string): Promise<boolean> {
  const isHere = host.agents.some((other) => other !== agent && other.capabilities.includes(capability));
  return isHere || ((await host.elsewhere?.has(capability, { signal: work.signal })) ?? false);
}

/** Of what belongs to the task alone, an agent that is asked gets nothing, here as on other servers. */
const asked = { availableTools: [], toolResults: [], inputs: [], events: [] };

/** Asks an agent that is so many hops deep, under this work. */
type Ask = (content: string, below: Pick<Place, "work" | "hops">, options: AskOptions) => AsyncIterable<AgentEvent>;

function handleOf(place: Place, { name, capability, ask }: { name: string; capability: string; ask: Ask }): AgentHandle {
  async function* begin(content: string, options: AskOptions) {
    const deadlineMs = deadlineOf(place.work, options);
    const hops = hopsBelow(place, { name, deadlineMs, signal: options.signal });
    const start = (work: Work) => ask(content, { work, hops }, options);
    for await (const event of askEvents(place.work, { options, deadlineMs, chain: chainOf(hops, name), start })) {
      if (event.case === "guardrailBlock") continue; // its error comes next
      if (event.case === "handoff" && options.handsOn !== true) continue;
      if (event.case === "inputRequest") throw asksSomebody(name, event.value);
      yield event;
    }
  }
  const stream = (content: string, options: AskOptions = {}) => {
    checkAskOptions(options);
    return begin(content, options);
  };
  return {
    name,
    capability,
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
  return (content, { work, hops }, { metadata = {} }) => {
    const { meter } = work;
    const chain = chainOf(hops, name);
    const request = { taskId: newId(), content, metadata, conversationId: conversation?.id ?? "" };
    const envelope: Envelope = { hops, maxDepth: depthOf(place), ...meter.left, trace: work.envelope.trace };
    const options = { signal: work.signal, timeoutMs: work.deadlineMs - Date.now(), metadata: envelopeHeaders(envelope) };
    return remoteEvents(remote.stream(request, options), { meter, chain });
  };
}

/** Who is about to be called, until when, and what would stop it. */
interface Callee {
  readonly name: string;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The agents above the one that is about to be called.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED or CANCELLED when it cannot be called any more; all name the chain.
 */
function hopsBelow(place: Place, { name, deadlineMs, signal }: Callee): readonly Hop[] {
  const { agent, work, hops } = place;
  const below = [...hops, { agent: agent.name, caller: work.identity.name }];
  const chain = chainOf(below, name);
  const maxDepth = depthOf(place);
  if (below.length >= maxDepth) {
    const description = `agents call each other more than ${maxDepth} deep: ${chain}`;
    throw resourceExhausted({ subject: "call depth", description });
  }
  if (deadlineMs <= Date.now()) throw deadlineExceeded(`the time is over: ${chain}`);
  for (const each of [work.signal, signal])
    if (each?.aborted) throw abortError(each.reason, `${chain}: whoever asked has stopped it`);
  work.meter.call(chain);
  return below;
}

function depthOf({ work, host }: Place): number {
  return Math.min(host.limits.maxCallDepth, work.envelope.maxDepth ?? Number.POSITIVE_INFINITY);
}

function chainOf(hops: readonly Hop[], name: string): string {
  return [...hops.map(({ agent }) => agent), name].join(" → ");
}
