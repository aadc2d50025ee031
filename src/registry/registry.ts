import { create, toBinary } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Logger } from "pino";
import {
  type Contract,
  DeregisterResponseSchema,
  type DiscoverRequest,
  type DiscoverResponse,
  DiscoverResponseSchema,
  type RegisteredAgent,
  RegisterResponseSchema,
  type RegistryService,
  RenewResponseSchema,
} from "../contract/index.ts";
import { invalidArgument, notFound, registryBounds } from "../core/index.ts";
import type { Store } from "../store/index.ts";
import { withBinaryForm } from "../wire/index.ts";
import { createAddressPolicy } from "./address.ts";
import { ContractShelf } from "./contract-shelf.ts";
import { Directory } from "./directory.ts";
import { ensureEpoch } from "./epoch.ts";
import { follow } from "./follow.ts";
import { writeDiscovered } from "./record.ts";
import type { RegisterRules } from "./register.ts";
import { Registrations } from "./registrations.ts";
import { queryViolations, selectAgents } from "./select.ts";
import { watchDirectory } from "./watch.ts";

export interface RegistryOptions {
  /** Where the registrations live. Several registries on one store are one registry. */
  readonly store: Store;
  readonly log: Logger;
  /** The identity that a caller has proved; undefined for none. Default: nobody proves any. */
  readonly callerOf?: (context: HandlerContext) => string | undefined;
  /**
   * CIDRs that endpoints may lie in. Default: all. Link-local, metadata, unspecified and multicast addresses are refused in any case. A host
   * name is held against them by what it resolves to where the registry runs.
   */
  readonly allow?: readonly string[];
  /** How host names are resolved. Default: as this machine does. */
  readonly resolve?: RegisterRules["resolve"];
}

/** A registry that runs. */
export interface Registry {
  readonly service: ServiceImpl<typeof RegistryService>;
  /** Registrations that live. */
  readonly size: number;
  /** Ends the watches with this error, so that they do not hold up a drain; leases can still be renewed and ended. */
  drain(reason: ConnectError): void;
  /** Lets go of the store. Leases end in their time. */
  close(): void;
}

/**
 * Creates a registry: RegistryService over a store.
 *
 * @throws RangeError for a range of addresses that is none.
 */
export function createRegistry(options: RegistryOptions): Registry {
  const { store, log, callerOf = () => undefined, allow, resolve } = options;
  const rules = { addresses: createAddressPolicy(allow), ...(resolve && { resolve }) };
  const directory = new Directory();
  const contracts = new ContractShelf(store, (sha256) => directory.serves(sha256));
  const registrations = new Registrations({ store, directory, contracts, rules });
  const closed = new AbortController();
  const draining = new AbortController();
  const ready = new Promise<void>((onCurrent) => void follow(directory, { store, log, signal: closed.signal, onCurrent }));
  return {
    get size() {
      return directory.size;
    },
    drain: (reason) => draining.abort(reason),
    close: () => closed.abort(),
    service: {
      async register(request, context) {
        await ready;
        const registrant = { identity: callerOf(context), signal: context.signal };
        return create(RegisterResponseSchema, { lease: await registrations.register(request, registrant) });
      },
      async renew(request, context) {
        await ready;
        return create(RenewResponseSchema, { lease: await registrations.renew(request, callerOf(context)) });
      },
      async deregister(request, context) {
        await ready;
        await registrations.deregister(request, callerOf(context));
        return create(DeregisterResponseSchema);
      },
      async discover(request) {
        await ready;
        const agents = discover(directory, request);
        return discovered(directory, agents, request.includeContracts ? await contractsOf(agents, contracts) : []);
      },
      async *watch(request, context) {
        await ready;
        const epoch = await ensureEpoch(store);
        const signal = AbortSignal.any([context.signal, draining.signal]);
        yield* watchDirectory(request, { directory, contracts, epoch, signal });
      },
    },
  };
}

function discover(directory: Directory, request: DiscoverRequest): RegisteredAgent[] {
  const { capability, agent } = request;
  const violations = queryViolations(request);
  if (capability === "" && agent === "") violations.push({ field: "capability", description: "or agent is required" });
  if (violations.length > 0) throw invalidArgument(violations);
  const agents = selectAgents(agentsOf(directory, request), request);
  if (agents.length > 0) return agents;
  const [type, name] = capability === "" ? ["agent", agent] : ["capability", capability];
  throw notFound({ type, name, hint: "no agent that lives here is as was asked for" });
}

function* agentsOf(directory: Directory, request: DiscoverRequest): Generator<RegisteredAgent> {
  for (const { agent } of directory.find(request)) yield agent;
}

/** An answer of a hundred agents is written from the bytes that the store has of them: to encode them anew would take fifty times as long. */
function discovered(directory: Directory, agents: RegisteredAgent[], contracts: Contract[]): DiscoverResponse {
  const response = create(DiscoverResponseSchema, { agents, contracts });
  const entries = agents.map(({ lease }) => directory.get(lease?.id ?? ""));
  if (!entries.every((entry) => entry !== undefined)) return response; // one of them has ended while contracts were read
  return withBinaryForm(
    response,
    writeDiscovered(entries, toBinary(DiscoverResponseSchema, create(DiscoverResponseSchema, { contracts }))),
  );
}

/** The contracts of some agents, each once, as far as they fit. */
async function contractsOf(agents: readonly RegisteredAgent[], contracts: ContractShelf): Promise<Contract[]> {
  const hashes = new Set(agents.map(({ registration }) => registration?.contractSha256 ?? ""));
  const found: Contract[] = [];
  let bytes = 0;
  for (const sha256 of hashes) {
    const contract = sha256 === "" ? undefined : await contracts.find(sha256);
    if (contract === undefined || bytes + contract.descriptorSet.byteLength > registryBounds.maxDiscoveredContractBytes)
      continue;
    bytes += contract.descriptorSet.byteLength;
    found.push(contract);
  }
  return found;
}
