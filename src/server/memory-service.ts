import type { Logger } from "pino";
import type { Limits } from "../core/index.ts";
import { createMemory, type Memory } from "../memory/index.ts";
import { createMemoryStore, type Store } from "../store/index.ts";
import type { Access } from "./access.ts";

/** How a server's shared memory differs from the default. */
export interface MemoryServeOptions {
  /** Where the threads live; servers on one store share them. Default: the server's store, or else this process, whose end they do not survive. */
  readonly store?: Store;
}

interface ServerMemoryOptions {
  readonly access: Access;
  readonly log: Logger;
  readonly limits: Limits;
  /** The server's own. */
  readonly store: Store | undefined;
}

/** The shared memory of a server that has one. */
export function createServerMemory(
  option: boolean | MemoryServeOptions,
  { access, log, limits, store: shared }: ServerMemoryOptions,
): Memory | undefined {
  if (option === false) return undefined;
  const { store = shared ?? createMemoryStore() } = option === true ? {} : option;
  return createMemory({ store, log, limits, callerOf: access.callerOf });
}
