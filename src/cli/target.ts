import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { type Agents, connect } from "../client/index.ts";
import { UsageError } from "./failure.ts";

/** The options of every command that calls a server. */
export interface TargetOptions {
  readonly agent?: string;
  readonly timeout?: number;
  readonly header?: readonly [name: string, value: string][];
  readonly protocol: "grpc" | "grpc-web" | "connect";
  readonly tlsCa?: string;
  readonly json?: boolean;
}

/** Adds them, so that they read the same in every command. */
export function withTarget(command: Command): Command {
  return command
    .argument("<target>", "the server: host:port, http://host:port or https://host:port")
    .option("-a, --agent <name>", "the agent to ask (default: the server's first)")
    .option("-t, --timeout <time>", "give up after this time: 500ms, 30s, 2m (default: the server's longest)", parseTime)
    .option("-H, --header <line>", 'a request header, "name: value"; can be repeated', parseHeader)
    .option("--json", "print the contract's JSON, for machines")
    .option("--tls-ca <file>", "PEM certificates of the authorities to trust")
    .addOption(new Option("--protocol <name>", "the wire").choices(["grpc", "grpc-web", "connect"]).default("grpc"));
}

/** The server that the options name. */
export function connectTo(target: string, options: TargetOptions): Agents {
  const { agent, timeout, header, protocol, tlsCa } = options;
  try {
    return connect({
      url: target,
      protocol,
      ...(agent !== undefined && { agent }),
      ...(timeout !== undefined && { timeoutMs: timeout }),
      ...(header !== undefined && { metadata: header.map(([name, value]): [string, string] => [name, value]) }),
      ...(tlsCa !== undefined && { tls: { ca: readFileSync(tlsCa) } }),
    });
  } catch (thrown) {
    throw new UsageError(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

const unitsMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function parseTime(text: string): number {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Math.round(Number(amount) * (unitsMs[unit] ?? Number.NaN));
  if (ms > 0) return ms;
  throw new UsageError(`--timeout is "${text}"; write a time such as 500ms, 30s or 2m`);
}

function parseHeader(line: string, before: [string, string][] = []): [string, string][] {
  const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*)$/.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new UsageError(`--header is "${line}"; write "name: value"`);
  return [...before, [name, value]];
}
