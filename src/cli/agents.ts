import { Command, Option } from "commander";
import { DiscoverResponseSchema, type RegisteredAgent, RegisteredAgentSchema, WatchResponseSchema } from "../contract/index.ts";
import { registryBounds } from "../core/index.ts";
import { createRegistryLink, type RegistryClient, type RegistryLink } from "../registry/index.ts";
import { agentDetails, agentTable, changeLine } from "./agent-text.ts";
import { collect } from "./collect.ts";
import { type CredentialFlags, readCredentials, withCredentials } from "./credentials.ts";
import { exitCodesHelp, UsageError } from "./failure.ts";
import { watchInterrupts } from "./interrupts.ts";
import { jsonLine, write } from "./print.ts";
import { defaultRegistryPort } from "./registry.ts";

interface AgentsOptions extends CredentialFlags {
  readonly registry?: string[];
  readonly json?: boolean;
  readonly capability?: string;
}

const registryVariable = "CONVOKE_REGISTRY";

const registryOption = new Option(
  "-r, --registry <address>",
  `host:port, URL or dns:///host:port; repeat it to name replicas (env: ${registryVariable})`,
)
  .argParser(collect)
  .default(undefined, `localhost:${defaultRegistryPort}`);

export const command = withCredentials(new Command("agents").addOption(registryOption))
  .description("See who is registered: the agents that live, what they can do, where, and the contracts that they serve.")
  .option("--json", "print the contract's JSON, one message a line")
  .addHelpText(
    "after",
    `
Examples
  convoke agents list --registry localhost:50050
  convoke agents list --capability schedule
  convoke agents describe scheduler
  convoke agents watch --json
${exitCodesHelp}`,
  );

command
  .command("list")
  .description("Print the agents that live, one a line.")
  .option("-c, --capability <name>", "only those that can do this")
  .action((_options: object, self: Command) =>
    withRegistry(self, async (link, { capability = "", json }) => {
      const agents = await link.call((client) => snapshot(client.watch({ capability }, callOptions)));
      if (json) for (const agent of agents) await write(jsonLine(RegisteredAgentSchema, agent));
      else await write(agentTable(agents, Date.now()));
    }),
  );

command
  .command("describe")
  .description("Print all that is known of an agent, and the contract that it serves as proto text.")
  .argument("<name>", "the agent's name")
  .action((agent: string, _options: object, self: Command) =>
    withRegistry(self, async (link, { json }) => {
      const response = await link.call((client) => client.discover({ agent, includeContracts: true }, callOptions));
      await write(json ? jsonLine(DiscoverResponseSchema, response) : agentDetails(response, Date.now()));
    }),
  );

command
  .command("watch")
  .description("Print the agents that live, then each that comes (+), changes (~) or goes (-), until Ctrl-C.")
  .option("-c, --capability <name>", "only those that can do this")
  .action((_options: object, self: Command) =>
    withRegistry(self, async (link, { capability = "", json = false }) => {
      using interrupts = watchInterrupts();
      const known = new Map<string, RegisteredAgent>();
      try {
        await link.call(async (client) => {
          for await (const response of client.watch({ capability }, { signal: interrupts.signal })) {
            await write(json ? jsonLine(WatchResponseSchema, response) : changeLine(response, known));
          }
        });
      } catch (thrown) {
        throw interrupts.reason ?? thrown;
      }
    }),
  );

const callOptions = { timeoutMs: registryBounds.callTimeoutMs };

type Action = (link: RegistryLink, options: AgentsOptions) => Promise<void>;

/** @throws UsageError when an address of the registry is none, and as {@link readCredentials}. */
async function withRegistry(self: Command, action: Action): Promise<void> {
  const options: AgentsOptions = self.optsWithGlobals();
  const { registry = defaultRegistry() } = options;
  const link = linkTo({ registry, ...(await readCredentials(options, registry)) });
  try {
    await action(link, options);
  } finally {
    link.close();
  }
}

function linkTo(address: Parameters<typeof createRegistryLink>[0]): RegistryLink {
  try {
    return createRegistryLink(address);
  } catch (thrown) {
    throw thrown instanceof TypeError ? new UsageError(thrown.message) : thrown;
  }
}

function defaultRegistry(): string[] {
  const named = process.env[registryVariable] ?? "";
  return named === "" ? [`localhost:${defaultRegistryPort}`] : named.split(",").map((address) => address.trim());
}

/** The agents that live when a watch begins, by name and place. */
async function snapshot(responses: ReturnType<RegistryClient["watch"]>): Promise<RegisteredAgent[]> {
  const agents: RegisteredAgent[] = [];
  for await (const { event } of responses) {
    if (event.case === "put") agents.push(event.value);
    if (event.case === "snapshotEnd") break;
  }
  return agents.sort((one, other) => ((one.lease?.id ?? "") < (other.lease?.id ?? "") ? -1 : 1));
}
