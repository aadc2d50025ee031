import { createSecureContext } from "node:tls";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Agent } from "../agent/index.ts";
import { resolveLimits } from "../core/index.ts";
import { type Server, serve } from "../server/index.ts";
import { isCode, UsageError } from "./failure.ts";
import { readOptionFile } from "./input.ts";
import { loadAgents } from "./load.ts";
import { welcome } from "./welcome.ts";

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
  .addOption(new Option("--host <address>", "the address to bind; 0.0.0.0 for all").default("127.0.0.1"))
  .option("--tls-cert <file>", "PEM certificate chain; with --tls-key, serves TLS")
  .option("--tls-key <file>", "PEM private key")
  .option("--cors-origin <origin>", "a web origin that may call, such as https://dashboard.example; can be repeated", collect)
  .option(
    "--limit <name=value>",
    "overrides a bound of the server, such as maxMessageBytes=1048576; can be repeated",
    collectLimit,
  )
  .addOption(
    new Option("--log-level <level>", "the least severe that is logged, to standard error")
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
    const tls = readTls(options);
    const agents = await loadAgents(files);
    const { url } = await start(agents, options, tls);
    const certificate = tls && { file: tls.certFile, pem: tls.cert };
    process.stdout.write(welcome({ url, agents, certificate, page: options.page }));
  });

async function start(agents: Agent[], options: ServeCommandOptions, tls: Tls | undefined): Promise<Server> {
  const { port, host, logLevel, logFormat, page, corsOrigin, limit } = options;
  try {
    return await serve({
      agents,
      port,
      host,
      page,
      log: { level: logLevel, ...(logFormat && { format: logFormat }) },
      ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
      ...(corsOrigin && { cors: { origins: corsOrigin } }),
      ...(limit && { limits: limit }),
    });
  } catch (thrown) {
    for (const [code, sentence] of Object.entries(bindProblems(options))) {
      if (isCode(thrown, code)) throw new UsageError(sentence);
    }
    throw thrown;
  }
}

/** Why an address cannot be listened at, by Node's error code. */
function bindProblems({ port, host }: ServeCommandOptions): Record<string, string> {
  return {
    EADDRINUSE: `port ${port} is taken; choose another with --port`,
    EACCES: `port ${port} needs more rights than this user has; choose one above 1023 with --port`,
    EADDRNOTAVAIL: `${host} is no address of this machine; choose one with --host`,
    ENOTFOUND: `${host} cannot be resolved; choose an address of this machine with --host`,
  };
}

interface Tls {
  readonly certFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

function readTls({ tlsCert, tlsKey }: ServeCommandOptions): Tls | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) throw new UsageError("TLS needs both --tls-cert and --tls-key");
  const cert = readOptionFile("--tls-cert", tlsCert);
  const key = readOptionFile("--tls-key", tlsKey);
  try {
    createSecureContext({ cert, key });
  } catch {
    throw new UsageError(`${tlsCert} and ${tlsKey} are no PEM certificate and its private key`);
  }
  return { certFile: tlsCert, cert, key };
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new InvalidArgumentError("a port is a whole number from 0 to 65535");
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function collectLimit(text: string, before: Record<string, number> = {}): Record<string, number> {
  const [, name, value] = /^(\w+)=(\d+)$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("write name=value with a whole number, such as maxTurns=20");
  const limits = { ...before, [name]: Number(value) };
  try {
    resolveLimits(limits);
  } catch (thrown) {
    throw new InvalidArgumentError(thrown instanceof Error ? thrown.message : String(thrown));
  }
  return limits;
}
