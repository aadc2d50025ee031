import { Command } from "commander";
import { readAccess } from "./access.ts";
import { collect } from "./collect.ts";
import { type ListenOptions, listen, withListening } from "./listen.ts";
import { openStorePlace, withStore } from "./store-place.ts";
import { toolOptions } from "./tool-options.ts";

/** Where a registry is looked for when nothing else is said: beside a server of agents on the same machine. */
export const defaultRegistryPort = 50050;

interface RegistryCommandOptions extends ListenOptions {
  readonly allow?: string[];
}

export const command = withStore(withListening(new Command("registry"), defaultRegistryPort))
  .description(
    "Run a registry, in which agents register and are found. It keeps its state in memory, unless --data or --store says otherwise; agents come back by themselves.",
  )
  .option("--allow <range>", "addresses that agents may register, such as 10.0.0.0/8; can be repeated (default: all)", collect)
  .addHelpText(
    "after",
    `
Examples
  convoke registry --port 50050
  convoke registry --store nats://nats-1:4222    # registries on one store know the same agents
  convoke registry --host 0.0.0.0 --allow 10.0.0.0/8 --tls-cert cert.pem --tls-key key.pem
  convoke registry --tls-cert certs/registry.crt --tls-key certs/registry.key --client-ca certs/ca.crt`,
  )
  .action(async (options: RegistryCommandOptions, self: Command) => {
    const { allow = [] } = options;
    const access = await readAccess(options, undefined);
    const place = await openStorePlace(self);
    const { url } = await listen({ agents: [], registry: { allow } }, options, { ...access, place });
    const { convoke, register } = toolOptions({ url, flags: options, ...access });
    process.stdout.write(`
A registry runs on ${url}${
      place === undefined
        ? ""
        : `
What it knows is kept ${place.where}.`
    }

  npx convoke serve agent.ts ${register}--register ${url}
  npx convoke agents list ${convoke}--registry ${url}

Ctrl-C stops.

`);
  });
