import { Range, satisfies, validRange } from "semver";
import type { RegisteredAgent } from "../contract/index.ts";
import { type FieldViolation, registryBounds } from "../core/index.ts";

/** What agents are asked for. */
export interface AgentQuery {
  /** What they can do. Empty or left out: no matter. */
  readonly capability?: string;
  /** The agent's name. Empty or left out: no matter. */
  readonly agent?: string;
  /** Only endpoints that serve exactly this contract. Empty or left out: no matter. */
  readonly contractSha256?: string;
  /** Only agents whose version is in this range, in npm's notation: `^1.2`. Empty or left out: no matter. */
  readonly versionRange?: string;
  /** Agents of this zone come first. Empty or left out: none does. */
  readonly zone?: string;
  /** The most agents to give, at most 1,000. Default, also for 0: 100. */
  readonly limit?: number;
}

/** True when the agent is one that a query names by capability and name. */
export function isAsked({ registration }: RegisteredAgent, { capability = "", agent = "" }: AgentQuery): boolean {
  const card = registration?.agent;
  if (card === undefined || (agent !== "" && card.name !== agent)) return false;
  return capability === "" || card.capabilities.includes(capability);
}

/** What is wrong with a query. */
export function queryViolations({ versionRange = "", limit = 0 }: AgentQuery): FieldViolation[] {
  const violations: FieldViolation[] = [];
  if (versionRange.length > registryBounds.maxVersionChars || validRange(versionRange) === null) {
    violations.push({ field: "version_range", description: "must be a range of versions in npm's notation, such as ^1.2" });
  }
  if (limit > registryBounds.maxDiscovered) {
    violations.push({ field: "limit", description: `must be at most ${registryBounds.maxDiscovered}` });
  }
  return violations;
}

/**
 * Those of some agents that a query asks for: at most its limit, those of its zone first, each group in random order, so that callers
 * who all take the first do not all take the same.
 *
 * @param agents of whatever capability and name. @param random a number from 0 up to 1.
 */
export function selectAgents(
  agents: Iterable<RegisteredAgent>,
  query: AgentQuery,
  random: () => number = Math.random,
): RegisteredAgent[] {
  const { contractSha256 = "", zone = "" } = query;
  const limit = query.limit || registryBounds.discovered;
  const isInRange = rangeTest(query.versionRange ?? "");
  const near: RegisteredAgent[] = [];
  const far: RegisteredAgent[] = [];
  for (const agent of agents) {
    const { registration } = agent;
    if (registration === undefined || !isAsked(agent, query)) continue;
    if (contractSha256 !== "" && registration.contractSha256 !== contractSha256) continue;
    if (!isInRange(registration.agent?.version ?? "")) continue;
    const isNear = zone !== "" && registration.endpoints.some((endpoint) => endpoint.zone === zone);
    (isNear ? near : far).push(agent);
  }
  const chosen = draw(near, limit, random);
  return [...chosen, ...draw(far, limit - chosen.length, random)];
}

/** Versions repeat, and parsing them is the dear part: each is held against the range once. */
function rangeTest(versionRange: string): (version: string) => boolean {
  if (versionRange === "") return () => true;
  const range = new Range(versionRange);
  const known = new Map<string, boolean>();
  return (version) => {
    let holds = known.get(version);
    if (holds === undefined) {
      holds = version !== "" && satisfies(version, range);
      known.set(version, holds);
    }
    return holds;
  };
}

/** As many of the list as asked for, in random order: the first steps of a Fisher-Yates shuffle, in place. */
function draw<T>(list: T[], count: number, random: () => number): T[] {
  const end = Math.min(count, list.length);
  for (let index = 0; index < end; index++) {
    const other = index + Math.floor(random() * (list.length - index));
    const taken = list[other] as T; // other is below the length
    list[other] = list[index] as T; // so is index
    list[index] = taken;
  }
  return list.slice(0, end);
}
