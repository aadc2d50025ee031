import { Command, Option } from "commander";
import { watchAuthorities } from "../identity/index.ts";
import type { RegisterOptions } from "../server/index.ts";
import type { Durability } from "../store/index.ts";
import { isOpen, readAccess, type ServerAccess } from "./access.ts";
import { collect } from "./collect.ts";
import { orUsageError, UsageError } from "./failure.ts";
import { type ListenOptions, listen, withListening } from "./listen.ts";
import { loadAgents } from "./load.ts";
import { openStorePlace, withStore } from "./store-place.ts";
import { parseTime } from "./time.ts";
import { toolOptions } from "./tool-options.ts";
import { welcome } from "./welcome.ts";

interface ServeCommandOptions extends ListenOptions {
  readonly durability?: Durability;
  readonly corsOrigin?: string[];
  readonly page: boolean;
  readonly registry?: boolean;
  readonly register?: string[];
  readonly endpoint?: string;
  readonly zone?: string;
  readonly leaseTime?: number;
  readonly registryCa?: string;
}

/** In the working directory: a second server there shares it. */
const defaultFolder = ".convoke";

export const command = withStore(withListening(new Command("serve"), 50051), defaultFolder)
  .description("Serve the agents of some modules on one port: gRPC, gRPC-Web, Connect, and a page for browsers.")
  .argument("<file...>", "modules, JavaScript or TypeScript, that export agents; the first agent is the default one")
  .option("--cors-origin <origin>", "a web origin that may call, such as https://dashboard.example; can be repeated", collect)
  .option("--no-page", "do not serve the page at /")
  .option("--registry", "serve a registry too, and register the agents there unless --register names others")
  .option("--register <address>", "the registry to register the agents at; repeat it to name its replicas", collect)
  .option("--endpoint <url>", "with a registry, the URL that callers reach this server by (default: where it listens)")
  .option("--zone <name>", "with a registry, where this server stands")
  .option("--lease-time <time>", "with a registry, how long a dead server is still found: 1s to 5m (default: 30s)", parseTime)
  .option(
    "--registry-ca <file>",
    "PEM authorities to trust for a registry at https://, which is shown --tls-cert, and for agents found there (default: the system's)",
  )
  .addOption(
    new Option(
      "--durability <level>",
      "what an event has to survive before it is delivered (default: what the store gives: a file disk, NATS cluster)",
    ).choices(["memory", "disk", "cluster"]),
  )
  .addHelpText(
    "after",
    `
Examples
  convoke serve agent.ts
  convoke serve triage.ts schedule.ts --port 8080
  convoke serve agent.ts --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
  convoke serve agent.ts --tls-cert certs/a.crt --tls-key certs/a.key --client-ca certs/ca.crt --policy policy.json
  convoke serve agent.ts --register registry.example:50050 --zone eu-1
  convoke serve agent.ts --data /var/lib/convoke
  convoke serve agent.ts --store nats://nats-1:4222,nats-2:4222 --nats-creds agents.creds

Tasks (with their events), the threads of shared memory and what a registry knows are kept in ${defaultFolder} unless --data, --no-data or
--store says otherwise. Servers that share them answer for each other's tasks.`,
  )
  .action(async (files: string[], options: ServeCommandOptions, self: Command) => {
    checkRegistryUse(options);
    const access = await readAccess(options, options.registryCa);
    const register = await registerOptions(options, access);
    const agents = await loadAgents(files);
    const { page, corsOrigin, registry = false, durability } = options;
    const place = await openStorePlace(self);
    const what = {
      agents,
      page,
      registry,
      ...(corsOrigin && { cors: { origins: corsOrigin } }),
      ...(register && { register }),
      ...(durability && { durability }),
    };
    const { url } = await listen(what, options, { ...access, place });
    const tools = toolOptions({ url, flags: options, ...access });
    process.stdout.write(welcome({ url, agents, page: page && isOpen(access), place: place?.where, tools }));
  });

/** @throws UsageError for what only counts with a registry, without one. */
function checkRegistryUse({ registry = false, register, endpoint, zone, leaseTime, registryCa }: ServeCommandOptions): void {
  if (registry || register !== undefined) return;
  const alone = Object.entries({ endpoint, zone, "lease-time": leaseTime, "registry-ca": registryCa });
  const [name] = alone.find(([, value]) => value !== undefined) ?? [];
  if (name !== undefined) throw new UsageError(`--${name} needs a registry; add --register or --registry`);
}

/** The server's own certificate proves to the registry, too, who it is. */
async function registerOptions(options: ServeCommandOptions, { tls }: ServerAccess): Promise<RegisterOptions | undefined> {
  const { registry = false, register, endpoint, zone, leaseTime, registryCa } = options;
  if (!registry && register === undefined) return undefined;
  const trust = tls ?? (registryCa === undefined ? undefined : await orUsageError(watchAuthorities(registryCa)));
  return {
    ...(register && { registry: register }),
    ...(endpoint !== undefined && { endpoint }),
    ...(zone !== undefined && { zone }),
    ...(leaseTime !== undefined && { ttlMs: leaseTime }),
    ...(trust && { tls: trust }),
  };
}
