import type { Logger } from "pino";
import type { Input, TaskResponse, ToolDefinition, ToolResult } from "../contract/index.ts";
import type { AgentEvent, Budget, Hop, StandardSchema, TraceContext } from "../core/index.ts";
import type { Guardrail } from "../guardrail/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import type { EntryInit, FoundEntries, PageOptions, ThreadPage } from "../memory/index.ts";
import type { QuoteInit } from "./cite.ts";

/** What an agent is asked to do. */
export interface Task {
  /** The task's id, unique for its caller. */
  readonly id: string;
  /** What is asked. */
  readonly content: string;
  /** Free key-value pairs of the caller. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Tools that the caller offers to run; yield {@link toolCall} to use one. */
  readonly availableTools: readonly ToolDefinition[];
  /** Results of the tool calls that this task made before it was continued. */
  readonly toolResults: readonly ToolResult[];
  /** What somebody gave that this task asked for before it was continued; see {@link inputRequest}. */
  readonly inputs: readonly Input[];
  /** What this task has produced before it was continued, in order; nothing when it begins. */
  readonly events: readonly AgentEvent[];
  /** The conversation that this is a turn of. */
  readonly conversation?: Conversation;
}

/** The turns before this one, the oldest first. */
export interface Conversation {
  readonly id: string;
  readonly turns: readonly Turn[];
}

/** One finished turn: what was asked and what the agent answered. */
export interface Turn {
  readonly taskId: string;
  readonly agent: string;
  readonly content: string;
  readonly answer: string;
  /** What the agent that it handed the rest of the conversation to was found by; undefined when it did not. */
  readonly handedTo?: string | undefined;
}

/** What an agent can use while it works. */
export interface AgentContext {
  /** Who asked for the task, and how that was proven; the same for the agents of this server that this one asks. */
  readonly caller: TaskCaller;
  /** Aborted with a ConnectError when the task is cancelled or out of time. Hand it to everything that waits. */
  readonly signal: AbortSignal;
  /** Milliseconds left until the task's deadline, 0 or more. */
  timeoutMs(): number;
  /** What this task and all that it calls may still use, as its caller gave it. */
  readonly budget: Budget;
  /** The W3C trace that the task is part of, if its caller traces. It is handed on with every call. */
  readonly trace: TraceContext | undefined;
  /** A logger that names agent and task in every line. */
  readonly log: Logger;
  /**
   * Runs a tool of the agent's own. Call and result are events of the task as they happen.
   *
   * A call that has to be approved ends the run: the task waits (REQUIRES_INPUT), on whatever server, until somebody has answered. The agent runs
   * again then, from its beginning, with all that was before in `task.events`; when it comes to the same call, that is made, once.
   *
   * @returns what the tool gave.
   * @throws ConnectError INVALID_ARGUMENT for arguments that are not as the tool wants them; DEADLINE_EXCEEDED when it takes too long;
   *   PERMISSION_DENIED for a call that somebody had to approve and has not; RESOURCE_EXHAUSTED for a result that is too large, and when more than 128 calls wait; what the tool threw as a ConnectError; INTERNAL for
   *   anything else that it threw, and for a result that JSON cannot hold.
   */
  tool<Input, Output>(tool: Tool<Input, Output>, input: unknown): Promise<Output>;
  /**
   * The event that cites a source whose words have been found in it; yield it after the text that it supports.
   *
   * @throws ConnectError FAILED_PRECONDITION when the source does not contain the quote.
   */
  cite(quote: QuoteInit): AgentEvent;
  /** The other agents: of this server, and those that it can find. */
  readonly agents: AgentDirectory;
  /** Shared memory. @throws ConnectError FAILED_PRECONDITION when the server has none. */
  readonly memory: AgentMemory;
}

/** A function that an agent, or its model, calls by name with checked arguments. */
export interface Tool<Input = unknown, Output = unknown> {
  /** Letters, digits, `_` and `-`, at most 64: what providers of models take. */
  readonly name: string;
  /** For the model: what it does, and when to use it. */
  readonly description: string;
  /** Checks the arguments. For a model it has to say its JSON Schema, too, as zod's do. */
  readonly input: StandardSchema<unknown, Input>;
  readonly timeoutMs: number;
  readonly maxResultBytes: number;
  /** True when somebody has to allow each call. */
  readonly approve: boolean;
  /** Its result is what JSON makes of what it gives. */
  run(input: Input, ctx: ToolContext): Output | Promise<Output>;
}

/** What a tool can use: what its agent can, with a signal of its own. */
export interface ToolContext
  extends Pick<AgentContext, "caller" | "timeoutMs" | "budget" | "trace" | "log" | "agents" | "memory"> {
  /** The call's id, unique in its task. */
  readonly callId: string;
  /** Aborted when the tool's time is over and when the task ends. */
  readonly signal: AbortSignal;
}

/** The shared memory of the agent's server: threads that other agents and callers read and append to as well. */
export interface AgentMemory {
  thread(name: string): AgentThread;
  /** Finds entries of all threads by their words: `words "and phrases" -without`. @throws ConnectError INVALID_ARGUMENT for a query that looks for nothing. */
  search(query: string, options?: MemorySearch): Promise<FoundEntries>;
}

/** A thread: a named list of entries that only grows, each with the hash of the one before. It begins with its first entry. */
export interface AgentThread {
  readonly name: string;
  /** A page of it. @throws ConnectError DATA_LOSS for a thread that is not as it was appended, OUT_OF_RANGE for entries that are gone. */
  read(options?: PageOptions): Promise<ThreadPage>;
  /** As {@link AgentMemory.search}, in this thread. */
  search(query: string, options?: MemorySearch): Promise<FoundEntries>;
  /**
   * Adds an entry when the task finishes well, for its caller and naming the task. Where tasks are kept it is part of the task's last event, so it is
   * added once, also when the server dies in between. A task that fails or waits for tool results adds nothing.
   *
   * @throws ConnectError INVALID_ARGUMENT for what cannot be appended, and beyond 100 entries or 2 MiB for one thread.
   */
  add(entry: string | Omit<EntryInit, "id" | "origin">): void;
}

/** What else can be said of a search. */
export interface MemorySearch {
  /** Only entries of this kind. */
  readonly kind?: string;
  /** Default 10, at most 100. */
  readonly limit?: number;
}

/** Who asked, and who is above that. */
export type TaskCaller = CallerIdentity & {
  /** The agents above this one, the outermost first, each with who called it. Claimed by the caller; of them all it alone is verified. */
  readonly chain: readonly Hop[];
};

/** The agents that one agent can call. */
export interface AgentDirectory {
  /** The other agents of this server, in the order they were given. */
  readonly cards: readonly AgentCard[];
  /**
   * An agent with this capability: the first other one of this server, else one of those that `serve({ discover })` finds, each call
   * where it is answered best.
   *
   * @throws ConnectError NOT_FOUND when this server has none and has no registry to ask. Where it has one and nobody is there, the call
   *   fails with UNAVAILABLE: there may be somebody later.
   */
  capability(name: string): AgentHandle;
}

/**
 * An agent to call. Deadline, cancellation, the chain of callers, budget, conversation and trace go along with every call.
 *
 * Each fails with what the agent failed with; with RESOURCE_EXHAUSTED, before anything is sent, when agents call each other too deep or
 * the budget is used up; with DEADLINE_EXCEEDED when the time is. Both name the chain of calls.
 */
export interface AgentHandle {
  /** The agent's name where it is of this server, else the capability that it is found by. */
  readonly name: string;
  /** What it was asked for by. */
  readonly capability: string;
  /** Asks the agent and gives its events as they come; `yield*` hands them on. */
  stream(content: string, options?: AskOptions): AsyncIterable<AgentEvent>;
  /** Asks the agent and gives its whole answer. */
  process(content: string, options?: AskOptions): Promise<TaskResponse>;
}

export interface AskOptions {
  /** Free key-value pairs for the agent. */
  readonly metadata?: Record<string, string>;
  /**
   * Milliseconds until the ask fails with DEADLINE_EXCEEDED, even where the agent ignores its signal; what is less than 0, or no number, is a
   * RangeError. Default, and the most: what is left of the task's own time.
   */
  readonly timeoutMs?: number;
  /** The agent speaks for the asker from now on, as {@link handOff} says: to whom it hands on, the asker's conversation goes. Default: its own alone. */
  readonly handsOn?: boolean;
  /** Ends this ask alone, with the ConnectError that it is aborted with, else with CANCELLED. Default: none. */
  readonly signal?: AbortSignal;
}

/** What an agent says of itself. */
export interface AgentCard {
  /** The name it is addressed by (`agent_id`): letters, digits, `_`, `-` and `.`, at most 64. */
  readonly name: string;
  /** One sentence for people and for routing. */
  readonly description: string;
  /** What it can do, the keys by which it is found. */
  readonly capabilities: readonly string[];
  /** Questions that it answers well, for people to try. */
  readonly examples: readonly string[];
}

/** What an agent yields: a string is a piece of the answer's text. */
export type Yield = string | AgentEvent;

/** An agent: a card and the function from a task to its events. */
export interface Agent extends AgentCard {
  /**
   * True when a task may be run anew, by another server that shares the store, after the one that ran it has died: what it did so far may
   * be done twice. Else such a task fails with UNAVAILABLE.
   */
  readonly restartable?: boolean;
  /**
   * Checks of what the agent yields, in order. Nothing of it is delivered before all of it has passed; what does not pass fails the task with
   * FAILED_PRECONDITION, and the log keeps what was refused, marked. Default: none, and events are delivered as they come.
   */
  readonly guardrails?: readonly Guardrail[];
  run(task: Task, ctx: AgentContext): AsyncIterable<Yield>;
}

/** What {@link defineAgent} takes. Everything but `name` and `run` may be left out. */
export type AgentDefinition = Pick<Agent, "name" | "run" | "restartable" | "guardrails"> & Partial<AgentCard>;

const namePattern = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * Defines an agent.
 *
 * `run` is an async generator: each `yield` is delivered at once and kept in the task log. It ends the task by returning, fails
 * it by throwing: a ConnectError reaches the caller as it is, anything else as INTERNAL without its message.
 *
 * @throws TypeError when the name or a capability has characters outside `A-Z a-z 0-9 _ . -`, or `run` is not a function.
 */
export function defineAgent(definition: AgentDefinition): Agent {
  const { name, run, description = "", capabilities = [], examples = [], restartable = false, guardrails = [] } = definition;
  for (const [what, value] of [["name", name], ...capabilities.map((capability) => ["capability", capability])]) {
    if (typeof value !== "string" || !namePattern.test(value)) {
      throw new TypeError(`the agent's ${what} ${JSON.stringify(value)} must be 1 to 64 of A-Z a-z 0-9 _ . -`);
    }
  }
  if (typeof run !== "function") throw new TypeError(`agent "${name}" needs run: async function* (task, ctx) { … }`);
  const lists = { capabilities: [...capabilities], examples: [...examples], guardrails: [...guardrails] };
  return Object.freeze({ name, description, ...lists, restartable, run });
}

/** True for what {@link defineAgent} returns; used where agents come from modules that the types do not cover. */
export function isAgent(value: unknown): value is Agent {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as Partial<Agent>; // a shape to test, every field of it below
  return typeof candidate.name === "string" && typeof candidate.run === "function" && Array.isArray(candidate.capabilities);
}

/** The card of an agent, without its code. */
export function cardOf(agent: Agent): AgentCard {
  const { name, description, capabilities, examples } = agent;
  return { name, description, capabilities, examples };
}
