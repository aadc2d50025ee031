import { createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../contract/index.ts";
import { type AgentCalls, type CallDefaults, createAgentCalls, type TaskInput } from "../web/index.ts";
import { type Chat, type ConverseOptions, converse } from "./converse.ts";
import { type VerifiedThread, verified } from "./verified-thread.ts";

/** Agents, as Node calls them. */
export interface ReachedAgents extends AgentCalls {
  /** Opens a conversation; see {@link Chat}. Needs `grpc` or `connect`, as gRPC-Web carries no client streams. */
  converse(options?: ConverseOptions): Chat;
  memory(thread?: string): VerifiedThread;
  agent(name: string): ReachedAgents;
  capability(name: string): ReachedAgents;
}

/** @param prepare what becomes of each task before it is sent. */
export function createAgents(
  transport: Transport,
  defaults: CallDefaults,
  prepare: (task: TaskInput) => TaskInput,
): ReachedAgents {
  const calls = createAgentCalls(transport, defaults);
  return {
    ...calls,
    process: (task, options) => calls.process(prepare(task), options),
    stream: (task, options) => calls.stream(prepare(task), options),
    converse: (options = {}) => converse(createClient(AgentService, transport), options, defaults),
    memory: (thread) => verified(calls.memory(thread)),
    agent: (name) => createAgents(transport, { ...defaults, agent: name, capability: "" }, prepare),
    capability: (name) => createAgents(transport, { ...defaults, agent: "", capability: name }, prepare),
  };
}
