import { create } from "@bufbuild/protobuf";
import { type RegisteredAgent, RegisteredAgentSchema } from "../../contract/index.ts";
import { invalidArgument, registryBounds } from "../../core/index.ts";
import { type AgentQuery, queryViolations, selectAgents } from "../select.ts";
import { type AgentEndpoint, endpointsOf } from "./source.ts";

/** One endpoint as a list tells of it. */
export interface ListedEndpoint {
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** The agent's name. Default: empty, the server's default agent; it then answers to every name that is asked for. */
  readonly agent?: string;
  /** What it can do. Default: whatever is asked for. */
  readonly capabilities?: readonly string[];
  /** Its version. Default: none, which is in no range. */
  readonly version?: string;
  /** Where it stands. Default: nowhere in particular. */
  readonly zone?: string;
  /** How much it can take beside others, 1 to 1,000. Default 1. */
  readonly weight?: number;
  /** The SPIFFE ID that it must prove. Default: none. */
  readonly identity?: string;
}

/** @throws TypeError for a URL that is none, has more than scheme, host and port, or is not http or https. */
export function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href) return url.origin;
  throw new TypeError(`"${text}" is no endpoint; write http://host:port or https://host:port`);
}

/**
 * Those of a list that a query asks for.
 *
 * @throws ConnectError INVALID_ARGUMENT for a query that is none.
 */
export function chooseListed(list: readonly ListedEndpoint[], query: AgentQuery): AgentEndpoint[] {
  const violations = queryViolations(query);
  if (violations.length > 0) throw invalidArgument(violations);
  const agents = list.map((listed) => asRegistered(listed, query));
  const limit = query.limit || registryBounds.maxKnown;
  return endpointsOf(selectAgents(agents, { ...query, limit }), query);
}

/** What is not said of an endpoint is as it was asked for. */
function asRegistered(listed: ListedEndpoint, { capability = "", agent = "" }: AgentQuery): RegisteredAgent {
  const { url, capabilities = [capability], version = "", zone = "", weight = 1, identity = "" } = listed;
  const card = { name: listed.agent ?? agent, capabilities: [...capabilities], version };
  return create(RegisteredAgentSchema, { registration: { agent: card, endpoints: [{ url, zone, weight }], identity } });
}
