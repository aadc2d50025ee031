import { connect, type FoundAgents, type RegistryOptions } from "../client/index.ts";
import type { AgentsElsewhere } from "../task/index.ts";
import type { RegisterOptions } from "./registration.ts";

/** Where a server's agents find those of other servers. */
export interface Elsewhere {
  /** Undefined where there is no registry to ask. */
  readonly agents: AgentsElsewhere | undefined;
  /** @param url where the server listens, which its own registry is called by. */
  begin(url: string): void;
  /** Closes the connections to other servers. */
  close(): void;
}

export interface ElsewhereOptions {
  readonly discover?: RegistryOptions | false;
  readonly register?: RegisterOptions;
  /** The server has a registry of its own. */
  readonly hasRegistry: boolean;
}

/** Without `discover` it is the registry that the server registers at, or its own. Nothing is sent before an agent asks. */
export function createElsewhere({ discover, register, hasRegistry }: ElsewhereOptions): Elsewhere {
  if (discover === false || (discover === undefined && register === undefined && !hasRegistry)) {
    return { agents: undefined, begin: () => {}, close: () => {} };
  }
  let ownUrl = "";
  let found: FoundAgents | undefined;
  const { tls, zone } = register ?? {};
  const options = () =>
    discover ?? { registry: register?.registry ?? ownUrl, ...(tls && { tls }), ...(zone !== undefined && { zone }) };
  const agents = () => {
    found ??= connect(options());
    return found;
  };
  return {
    agents: {
      find: (capability) => agents().capability(capability),
      has: async (capability, options) => (await agents().discover({ capability }, options)).length > 0,
    },
    begin(url) {
      ownUrl = url;
    },
    close: () => found?.close(),
  };
}
