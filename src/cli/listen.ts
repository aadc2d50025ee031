import { createSecureContext } from "node:tls";
import { type Command, InvalidArgumentError, Option } from "commander";
import { resolveLimits } from "../core/index.ts";
import { type ServeOptions, type Server, serve } from "../server/index.ts";
import { isCode, UsageError } from "./failure.ts";
import { readOptionFile } from "./input.ts";

/** The options of every command that serves. */
export interface ListenOptions {
  readonly port: number;
  readonly host: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly limit?: Record<string, number>;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  readonly logFormat?: "json" | "pretty";
}

/** Adds them, so that they read the same in every command. */
export function withListening(command: Command, defaultPort: number): Command {
  return command
    .addOption(
      new Option("-p, --port <number>", "the port; 0 picks a free one").argParser(parsePort).default(defaultPort).env("PORT"),
    )
    .addOption(new Option("--host <address>", "the address to bind; 0.0.0.0 for all").default("127.0.0.1"))
    .option("--tls-cert <file>", "PEM certificate chain; with --tls-key, serves TLS")
    .option("--tls-key <file>", "PEM private key")
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
    .addOption(new Option("--log-format <format>", "default: pretty on a terminal").choices(["json", "pretty"]));
}

/** What the options name for TLS, read and found good. */
export interface ServedTls {
  readonly certFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** @throws UsageError for one without the other, or what is no certificate and its key. */
export function readTls({ tlsCert, tlsKey }: ListenOptions): ServedTls | undefined {
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

/**
 * Serves as the options say.
 *
 * @param tls as {@link readTls} gave it. @throws UsageError when the address cannot be listened at, or `serve` refuses what it was told.
 */
export async function listen(
  what: Omit<ServeOptions, "port" | "host" | "tls" | "limits" | "log">,
  options: ListenOptions,
  tls: ServedTls | undefined,
): Promise<Server> {
  const { port, host, limit, logLevel, logFormat } = options;
  try {
    return await serve({
      ...what,
      port,
      host,
      log: { level: logLevel, ...(logFormat && { format: logFormat }) },
      ...(tls && { tls: { cert: tls.cert, key: tls.key } }),
      ...(limit && { limits: limit }),
    });
  } catch (thrown) {
    for (const [code, sentence] of Object.entries(bindProblems(options))) {
      if (isCode(thrown, code)) throw new UsageError(sentence);
    }
    if (thrown instanceof TypeError || thrown instanceof RangeError) throw new UsageError(thrown.message);
    throw thrown;
  }
}

/** Why an address cannot be listened at, by Node's error code. */
function bindProblems({ port, host }: ListenOptions): Record<string, string> {
  return {
    EADDRINUSE: `port ${port} is taken; choose another with --port`,
    EACCES: `port ${port} needs more rights than this user has; choose one above 1023 with --port`,
    EADDRNOTAVAIL: `${host} is no address of this machine; choose one with --host`,
    ENOTFOUND: `${host} cannot be resolved; choose an address of this machine with --host`,
  };
}

/** Gathers the values of an option that can be repeated. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new InvalidArgumentError("a port is a whole number from 0 to 65535");
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
