import { setTimeout as pause } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { RegistryClient } from "../../src/registry/index.ts";

/** What Discover tells of one endpoint. */
export interface Found {
  readonly leaseId: string;
  readonly revision: bigint;
  /** By `Date.now`. */
  readonly registeredAt: number;
}

/** What Discover tells of an agent, asked again and again. */
export interface Discovered {
  /** What it has told last, by URL. */
  readonly found: ReadonlyMap<string, Found>;
  /** When an answer was without one that had been found, by `Date.now`; the last time, if there were several. */
  readonly wentAt: ReadonlyMap<string, number>;
  stop(): void;
}

const everyMs = 10;

export function discoverAgain(client: RegistryClient, agent: string): Discovered {
  const wentAt = new Map<string, number>();
  let found: ReadonlyMap<string, Found> = new Map();
  let stopped = false;
  const ask = async () => {
    for (; !stopped; await pause(everyMs)) {
      const now = await discover(client, agent);
      for (const url of found.keys()) if (!now.has(url)) wentAt.set(url, Date.now());
      found = now;
    }
  };
  void ask();
  return {
    wentAt,
    get found() {
      return found;
    },
    stop() {
      stopped = true;
    },
  };
}

async function discover(client: RegistryClient, agent: string): Promise<Map<string, Found>> {
  const found = new Map<string, Found>();
  try {
    const { agents } = await client.discover({ agent });
    for (const { registration, lease, registerTime } of agents) {
      if (lease === undefined || registerTime === undefined)
        throw new Error("a registration that lives has a lease and a time");
      const told = { leaseId: lease.id, revision: lease.revision, registeredAt: timestampMs(registerTime) };
      for (const { url } of registration?.endpoints ?? []) found.set(url, told);
    }
  } catch (thrown) {
    if (ConnectError.from(thrown).code !== Code.NotFound) throw thrown;
  }
  return found;
}
