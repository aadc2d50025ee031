import { createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../contract/index.ts";
import { guardCall } from "../guardrail/index.ts";
import { type AgentCalls, type CallDefaults, createAgentCalls } from "../web/index.ts";
import { isCutOff, isCutShort } from "../wire/index.ts";
import { type TaskCalls, withCallerTools } from "./caller-tools.ts";
import { type Chat, type ConverseOptions, converse } from "./converse.ts";
import { type VerifiedThread, verified } from "./verified-thread.ts";

/** Agents, as Node calls them. */
export interface ReachedAgents extends Omit<AgentCalls, keyof TaskCalls>, TaskCalls {
  /** Opens a conversation; see {@link Chat}. Needs `grpc` or `connect`, as gRPC-Web carries no client streams. */
  converse(options?: ConverseOptions): Chat;
  memory(thread?: string): VerifiedThread;
  agent(name: string): ReachedAgents;
  capability(name: string): ReachedAgents;
}

export function createAgents(transport: Transport, defaults: CallDefaults): ReachedAgents {
  const calls = createAgentCalls(transport, defaults, { isCutOff, isCutShort, guard: guardCall });
  return {
    ...calls,
    ...withCallerTools(calls, defaults),
    converse: (options = {}) => converse(createClient(AgentService, transport), options, defaults),
    memory: (thread) => verified(calls.memory(thread)),
    agent: (name) => createAgents(transport, { ...defaults, agent: name, capability: "" }),
    capability: (name) => createAgents(transport, { ...defaults, agent: "", capability: name }),
  };
}
