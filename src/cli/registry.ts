import { Command } from "commander";
import { collect, type ListenOptions, listen, readTls, withListening } from "./listen.ts";

/** Where a registry is looked for when nothing else is said: beside a server of agents on the same machine. */
export const defaultRegistryPort = 50050;

interface RegistryCommandOptions extends ListenOptions {
  readonly allow?: string[];
}

export const command = withListening(new Command("registry"), defaultRegistryPort)
  .description(
    "Run a registry, in which agents register and are found. It keeps its state in memory; agents come back by themselves.",
  )
  .option("--allow <range>", "addresses that agents may register, such as 10.0.0.0/8; can be repeated (default: all)", collect)
  .addHelpText(
    "after",
    `
Examples
  convoke registry --port 50050
  convoke registry --host 0.0.0.0 --allow 10.0.0.0/8 --tls-cert cert.pem --tls-key key.pem`,
  )
  .action(async (options: RegistryCommandOptions) => {
    const { allow = [] } = options;
    const { url } = await listen({ agents: [], registry: { allow } }, options, readTls(options));
    process.stdout.write(`
A registry runs on ${url}

  npx convoke serve agent.ts --register ${url}
  npx convoke agents list --registry ${url}

Ctrl-C stops.

`);
  });
