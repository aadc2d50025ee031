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
  const near = new Sample<RegisteredAgent>(limit, random);
  const far = new Sample<RegisteredAgent>(limit, random);
  for (const agent of agents) {
    const { registration } = agent;
    if (registration === undefined || !isAsked(agent, query)) continue;
    if (contractSha256 !== "" && registration.contractSha256 !== contractSha256) continue;
    if (!isInRange(registration.agent?.version ?? "")) continue;
    const isNear = zone !== "" && registration.endpoints.some((endpoint) => endpoint.zone === zone);
    (isNear ? near : far).add(agent);
  }
  return [...near.shuffled(), ...far.shuffled()].slice(0, limit);
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

/** Some of what is added, all with the same likelihood: a reservoir (Vitter, algorithm R), so that thousands cost no list of them. */
class Sample<T> {
  readonly #size: number;
  readonly #random: () => number;
  readonly #kept: T[] = [];
  #seen = 0;

  constructor(size: number, random: () => number) {
    this.#size = size;
    this.#random = random;
  }

  add(item: T): void {
    this.#seen++;
    if (this.#kept.length < this.#size) {
      this.#kept.push(item);
      return;
    }
    const at = Math.floor(this.#random() * this.#seen);
    if (at < this.#size) this.#kept[at] = item;
  }

  /** What was kept, in random order (Fisher and Yates). */
  shuffled(): readonly T[] {
    const kept = this.#kept;
    for (let index = kept.length - 1; index > 0; index--) {
      const other = Math.floor(this.#random() * (index + 1));
      const taken = kept[index] as T; // index is below the length
      kept[index] = kept[other] as T; // so is other
      kept[other] = taken;
    }
    return kept;
  }
}
