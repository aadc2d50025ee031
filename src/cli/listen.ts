import { type Command, InvalidArgumentError, Option } from "commander";
import { resolveLimits } from "../core/index.ts";
import { closeOnSignals, type ServeOptions, type Server, serve } from "../server/index.ts";
import { type AccessFlags, type ServerAccess, withAccess } from "./access.ts";
import { isCode, UsageError } from "./failure.ts";
import type { StorePlace } from "./store-place.ts";
import { boundYoungGeneration } from "./young-generation.ts";

/** The options of every command that serves. */
export interface ListenOptions extends AccessFlags {
  readonly port: number;
  readonly host: string;
  readonly probePort?: number;
  readonly limit?: Record<string, number>;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  readonly logFormat?: "json" | "pretty";
}

/** Adds them, so that they read the same in every command. */
export function withListening(command: Command, defaultPort: number): Command {
  const port = command
    .addOption(
      new Option("-p, --port <number>", "the port; 0 picks a free one").argParser(parsePort).default(defaultPort).env("PORT"),
    )
    .addOption(new Option("--host <address>", "the address to bind; 0.0.0.0 for all").default("127.0.0.1"))
    .option(
      "--probe-port <number>",
      "a port for probes alone, in clear text: gRPC health, /livez and /readyz (default: none)",
      parsePort,
    );
  return withAccess(port)
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

/** What is served, as far as it is no matter of the address. */
type Served = Omit<ServeOptions, "port" | "host" | "probePort" | "tls" | "access" | "store" | "limits" | "log" | "signals">;

/**
 * Serves as the options say, until a signal ends it. Its store is closed after it.
 *
 * @throws UsageError when the address cannot be listened at, or `serve` refuses what it was told.
 */
export async function listen(
  what: Served,
  options: ListenOptions,
  { tls, access, place }: ServerAccess & { readonly place: StorePlace | undefined },
): Promise<Server> {
  const { port, host, probePort, limit, logLevel, logFormat } = options;
  boundYoungGeneration();
  try {
    const server = await serve({
      ...what,
      port,
      host,
      log: { level: logLevel, ...(logFormat && { format: logFormat }) },
      ...(probePort !== undefined && { probePort }),
      ...(tls && { tls }),
      ...(access && { access }),
      ...(place && { store: place.store }),
      ...(limit && { limits: limit }),
      signals: false,
    });
    closeOnSignals(async () => {
      await server.close();
      await place?.store.close();
    });
    return server;
  } catch (thrown) {
    await place?.store.close();
    for (const [code, sentence] of Object.entries(bindProblems(options, thrown))) {
      if (isCode(thrown, code)) throw new UsageError(sentence);
    }
    if (thrown instanceof TypeError || thrown instanceof RangeError) throw new UsageError(thrown.message);
    throw thrown;
  }
}

/** Why an address cannot be listened at, by Node's error code. */
function bindProblems({ port, host, probePort }: ListenOptions, thrown: unknown): Record<string, string> {
  const isProbes = thrown instanceof Error && "port" in thrown && thrown.port === probePort;
  const [taken, option] = isProbes ? [probePort, "--probe-port"] : [port, "--port"];
  return {
    EADDRINUSE: `port ${taken} is taken; choose another with ${option}`,
    EACCES: `port ${taken} needs more rights than this user has; choose one above 1023 with ${option}`,
    EADDRNOTAVAIL: `${host} is no address of this machine; choose one with --host`,
    ENOTFOUND: `${host} cannot be resolved; choose an address of this machine with --host`,
  };
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
