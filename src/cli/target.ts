import { X509Certificate } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Agents, connect } from "../client/index.ts";
import { UsageError } from "./failure.ts";
import { readOptionFile } from "./input.ts";
import { parseTime } from "./time.ts";

type Protocol = "grpc" | "grpc-web" | "connect";

/** The options of every command that calls a server. */
export interface TargetOptions {
  readonly agent?: string;
  readonly timeout?: number;
  readonly header?: readonly [name: string, value: string][];
  readonly protocol: Protocol;
  readonly tlsCa?: string;
  readonly json?: boolean;
}

/** Adds them, so that they read the same in every command. */
export function withTarget(command: Command, protocols: readonly Protocol[] = ["grpc", "grpc-web", "connect"]): Command {
  return command
    .argument("<target>", "the server: host:port, http://host:port or https://host:port")
    .option("-a, --agent <name>", "the agent to ask (default: the server's first)")
    .option("-t, --timeout <time>", "give up after this time: 500ms, 30s, 2m (default: the server's longest)", parseTime)
    .option("-H, --header <line>", 'a request header, "name: value"; can be repeated', parseHeader)
    .option("--json", "print the contract's JSON, for machines; on standard error, what the server refused with")
    .option("--tls-ca <file>", "PEM certificates of the authorities to trust (default: the system's)")
    .addOption(new Option("--protocol <name>", "the wire").choices(protocols).default("grpc"));
}

/**
 * The server that the options name. Nothing is sent yet.
 *
 * @throws UsageError when the target is no server, or the file of --tls-ca holds no certificate.
 */
export function connectTo(target: string, options: TargetOptions): Agents {
  const { agent, timeout, header, protocol, tlsCa } = options;
  const ca = tlsCa === undefined ? undefined : readAuthorities("--tls-ca", tlsCa);
  try {
    return connect({
      url: target,
      protocol,
      ...(agent !== undefined && { agent }),
      ...(timeout !== undefined && { timeoutMs: timeout }),
      ...(header !== undefined && { metadata: header.map(([name, value]): [string, string] => [name, value]) }),
      ...(ca !== undefined && { tls: { ca } }),
    });
  } catch (thrown) {
    if (thrown instanceof TypeError) throw new UsageError(thrown.message);
    throw thrown;
  }
}

/**
 * Waits until the resets of cancelled calls are on their way. Closing the connection at once would lose them, and a connection
 * that only breaks is no cancel: the agent would work on.
 */
export async function resetsSent(): Promise<void> {
  await setImmediate(); // what a turn of the event loop resets is written before the next turn's immediates
}

/** @throws UsageError when the file that the option names holds no certificate. */
export function readAuthorities(option: string, file: string): Buffer {
  const pem = readOptionFile(option, file);
  try {
    new X509Certificate(pem);
  } catch {
    throw new UsageError(`${option}: ${file} holds no PEM certificate`);
  }
  return pem;
}

function parseHeader(line: string, before: [string, string][] = []): [string, string][] {
  const [, name, value] = /^([^\s:]+):\s*(.*)$/.exec(line) ?? [];
  if (name === undefined || value === undefined || !isHeader(name, value)) {
    throw new InvalidArgumentError('write "name: value", such as "authorization: Bearer …"');
  }
  return [...before, [name, value]];
}

function isHeader(name: string, value: string): boolean {
  try {
    new Headers([[name, value]]);
    return true;
  } catch {
    return false;
  }
}
