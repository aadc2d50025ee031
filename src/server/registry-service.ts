import type { HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import { createRegistry, type Registry } from "../registry/index.ts";
import { createMemoryStore, type Store } from "../store/index.ts";
import type { Access } from "./access.ts";

/** How a server's registry differs from the default. */
export interface RegistryServeOptions {
  /** Where the registrations live. Default: the server's store, or else this process; after its end the agents register again by themselves. */
  readonly store?: Store;
  /**
   * CIDRs that endpoints may lie in, such as `10.0.0.0/8`. Default: all. Link-local, metadata, unspecified and multicast addresses are
   * refused in any case.
   */
  readonly allow?: readonly string[];
}

interface ServerRegistryOptions {
  readonly access: Access;
  readonly log: Logger;
  /** The server's own. */
  readonly store: Store | undefined;
}

/** The registry of a server that has one. @throws RangeError for a range of addresses that is none. */
export function createServerRegistry(
  option: boolean | RegistryServeOptions | undefined,
  { access, log, store: shared }: ServerRegistryOptions,
): Registry | undefined {
  if (option === undefined || option === false) return undefined;
  const { store = shared ?? createMemoryStore(), allow = [] } = option === true ? {} : option;
  const callerOf = (context: HandlerContext) => {
    const { proof, name } = access.callerOf(context);
    return proof === "none" ? undefined : name;
  };
  return createRegistry({ store, allow, log, callerOf });
}
