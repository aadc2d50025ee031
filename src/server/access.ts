import { type ContextValues, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { AgentService as FirstAgentService } from "../../gen/agent/agent_pb.js";
import { Health } from "../../gen/health/v1/health_pb.js";
import type { Agent } from "../agent/index.ts";
import { AgentService } from "../contract/index.ts";
import {
  anonymous,
  type CallerIdentity,
  createIdentify,
  type Evidence,
  type IdentifyOptions,
  type Policy,
} from "../identity/index.ts";
import type { RequestGate, ServerExchange } from "../wire/index.ts";
import { currentOf, type MaybeWatched } from "./watched.ts";

/** Who may call a server. */
export interface AccessOptions extends IdentifyOptions {
  /**
   * Who may call what. One that `watchPolicy` gives, and what a function returns, is looked up for each call. What it does not allow is
   * denied, health checks aside. Default: everybody who is identified may call everything.
   */
  readonly policy?: MaybeWatched<Policy> | (() => Policy);
}

/** What a server asks of a call before its body is read, and knows of its caller afterwards. */
export interface Access {
  /** Undefined where everybody may call and nobody is asked who it is. */
  readonly requestGate: RequestGate | undefined;
  readonly contextValues: ((exchange: ServerExchange) => ContextValues) | undefined;
  callerOf(context: HandlerContext): CallerIdentity;
  /** @throws ConnectError PERMISSION_DENIED when the caller may not ask this agent, whatever its method. */
  checkAgent(context: HandlerContext, agent: Agent): void;
}

/** Without options every caller is anonymous. */
export function createAccess(options: AccessOptions | undefined): Access {
  return options === undefined ? open : guarded(options);
}

const open: Access = {
  requestGate: undefined,
  contextValues: undefined,
  callerOf: () => anonymous,
  checkAgent: () => {},
};

/** Services whose calls name an agent in their messages: what its capabilities allow is known then. */
const agentServices = new Set([AgentService.typeName, FirstAgentService.typeName]);

const evidenceKey = createContextKey<Evidence>({});
const callerKey = createContextKey<CallerIdentity>(anonymous);

function guarded(options: AccessOptions): Access {
  const identify = createIdentify(options);
  const { policy } = options;
  const current = () => (typeof policy === "function" ? policy() : policy && currentOf(policy));
  const callerOf = ({ values }: HandlerContext) => values.get(callerKey);
  return {
    callerOf,
    contextValues({ peerCertificate, headers }) {
      const evidence = { certificate: peerCertificate, authorization: headers.get("authorization") };
      return createContextValues().set(evidenceKey, evidence);
    },
    async requestGate(context) {
      // Probes have no identity: who may connect may ask whether the server is well.
      if (context.service.typeName === Health.typeName) return;
      const caller = await identify(context.values.get(evidenceKey));
      context.values.set(callerKey, caller);
      const method = methodOf(context);
      const named = agentServices.has(context.service.typeName) && current()?.admits(caller, method);
      if (named !== true) current()?.check(caller, { method });
    },
    checkAgent(context, { capabilities }) {
      const rules = current();
      if (rules === undefined) return;
      const [caller, method] = [callerOf(context), methodOf(context)];
      if (!capabilities.some((capability) => rules.allows(caller, { method, capability }))) {
        rules.check(caller, { method, capability: capabilities[0] });
      }
    },
  };
}

function methodOf({ service, method }: HandlerContext): string {
  return `${service.typeName}/${method.name}`;
}
