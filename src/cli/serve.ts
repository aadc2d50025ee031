import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Agent } from "../agent/index.ts";
import { type ServeOptions, type Server, serve } from "../server/index.ts";
import { UsageError } from "./failure.ts";
import { loadAgents } from "./load.ts";

interface ServeCommandOptions {
  readonly port: number;
  readonly host: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly corsOrigin?: string[];
  readonly limit?: Record<string, number>;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  readonly logFormat?: "json" | "pretty";
  readonly page: boolean;
}

export const command = new Command("serve")
  .description("Serve the agents of some modules on one port: gRPC, gRPC-Web, Connect, and a page for browsers.")
  .argument("<file...>", "modules, JavaScript or TypeScript, that export agents; the first agent is the default one")
  .addOption(new Option("-p, --port <number>", "the port; 0 picks a free one").argParser(parsePort).default(50051).env("PORT"))
  .addOption(new Option("--host <address>", "the address to bind; 0.0.0.0 for all").default("127.0.0.1").env("HOST"))
  .option("--tls-cert <file>", "PEM certificate chain; with --tls-key, serves TLS")
  .option("--tls-key <file>", "PEM private key")
  .option("--cors-origin <origin>", "a web origin that may call, such as https://dashboard.example; can be repeated", collect)
  .option(
    "--limit <name=value>",
    "overrides a bound of the server, such as maxMessageBytes=1048576; can be repeated",
    collectLimit,
  )
  .addOption(
    new Option("--log-level <level>")
      .choices(["trace", "debug", "info", "warn", "error", "silent"])
      .default("info")
      .env("LOG_LEVEL"),
  )
  .addOption(new Option("--log-format <format>", "default: pretty on a terminal").choices(["json", "pretty"]))
  .option("--no-page", "do not serve the page at /")
  .addHelpText(
    "after",
    `
Examples
  convoke serve agent.ts
  convoke serve triage.ts schedule.ts --port 8080
  convoke serve agent.ts --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem`,
  )
  .action(async (files: string[], options: ServeCommandOptions) => {
    const agents = (await Promise.all(files.map(loadAgents))).flat();
    const server = await start(agents, options);
    process.stdout.write(welcome(server, agents));
  });

async function start(agents: Agent[], options: ServeCommandOptions): Promise<Server> {
  const { port, host, logLevel, logFormat, page, corsOrigin, limit } = options;
  const tls = readTls(options);
  try {
    return await serve({
      agents,
      port,
      host,
      page,
      log: { level: logLevel, ...(logFormat && { format: logFormat }) },
      ...(tls && { tls }),
      ...(corsOrigin && { cors: { origins: corsOrigin } }),
      ...(limit && { limits: limit }),
    });
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EADDRINUSE") {
      throw new UsageError(`port ${port} is taken; choose another with --port`);
    }
    if (thrown instanceof RangeError || thrown instanceof TypeError) throw new UsageError(thrown.message);
    throw thrown;
  }
}

/** What a person wants to know: what is served, and lines to paste. */
function welcome({ url }: Server, agents: readonly Agent[]): string {
  const { host } = new URL(url);
  const question = agents.flatMap((agent) => agent.examples)[0] ?? "hello";
  const json = shellQuote(JSON.stringify({ content: question }));
  const [plaintext, insecure] = url.startsWith("https:") ? ["-insecure ", "-k "] : ["-plaintext ", ""];
  const width = Math.max(...agents.map((agent) => agent.name.length));
  const list = agents.map(
    ({ name, description }, index) => `  ${name.padEnd(width)}  ${description}${index === 0 ? " (default)" : ""}`,
  );
  return `
Convoke serves ${agents.length} ${agents.length === 1 ? "agent" : "agents"} on ${url}

${list.join("\n")}

Call them:
  curl ${insecure}-d ${json} -H 'content-type: application/json' ${url}/agent.v1.AgentService/ProcessTask
  npx convoke call ${url} --stream ${shellQuote(question)}
  grpcurl ${plaintext}-d ${json} ${host} agent.v1.AgentService/StreamResponse

Or open ${url}/ in a browser. Ctrl-C stops.

`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function readTls({ tlsCert, tlsKey }: ServeCommandOptions): ServeOptions["tls"] {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) throw new UsageError("TLS needs both --tls-cert and --tls-key");
  return { cert: readPem("--tls-cert", tlsCert), key: readPem("--tls-key", tlsKey) };
}

function readPem(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    throw new UsageError(`${option} ${file} cannot be read`);
  }
}

function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new InvalidArgumentError("A port is a whole number from 0 to 65535.");
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function collectLimit(text: string, before: Record<string, number> = {}): Record<string, number> {
  const [, name, value] = /^(\w+)=(\d+)$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("Write name=value with a whole number, such as maxTurns=20.");
  return { ...before, [name]: Number(value) };
}
