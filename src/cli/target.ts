import { setImmediate } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Agents, connect } from "../client/index.ts";
import { type CredentialFlags, readCredentials, withCredentials } from "./credentials.ts";
import { UsageError } from "./failure.ts";
import { parseTime } from "./time.ts";

type Protocol = "grpc" | "grpc-web" | "connect";

/** The options of every command that calls a server. */
export interface ServerFlags extends CredentialFlags {
  readonly timeout?: number;
  readonly header?: readonly [name: string, value: string][];
  readonly protocol: Protocol;
  readonly json?: boolean;
}

/** The options of every command that calls an agent. */
export interface TargetOptions extends ServerFlags {
  readonly agent?: string;
}

/** What says which server is called. */
export const targetArgument = [
  "<target>",
  "the server: host:port, http://host:port or https://host:port; or CAPABILITY@REGISTRY, whoever can do it of those that the registry knows",
] as const;

/** Adds them, so that they read the same in every command. */
export function withTarget(command: Command, protocols?: readonly Protocol[]): Command {
  const target = command
    .argument(...targetArgument)
    .option("-a, --agent <name>", "the agent to ask (default: the server's first)");
  return withServerFlags(target, protocols);
}

export function withServerFlags(command: Command, protocols: readonly Protocol[] = ["grpc", "grpc-web", "connect"]): Command {
  const calling = command
    .option("-t, --timeout <time>", "give up after this time: 500ms, 30s, 2m (default: the server's longest)", parseTime)
    .option("-H, --header <line>", 'a request header, "name: value"; can be repeated', parseHeader)
    .option("--json", "print the contract's JSON, for machines; on standard error, what the server refused with");
  return withCredentials(calling).addOption(new Option("--protocol <name>", "the wire").choices(protocols).default("grpc"));
}

/** Whom a command calls. */
export type Called = Pick<Agents, "process" | "stream" | "get" | "cancel" | "list" | "converse" | "memory" | "close">;

/**
 * Whom the target and the options name. Nothing is sent yet.
 *
 * @throws UsageError when the target is none, or the options do not go together.
 */
export async function connectTo(target: string, options: TargetOptions): Promise<Called> {
  const [, capability, registry] = /^([A-Za-z0-9_.-]{1,64})@(.+)$/.exec(target) ?? [];
  try {
    if (capability === undefined || registry === undefined) return await connectServer(target, options);
    return await connectFound(capability, { registry, options });
  } catch (thrown) {
    if (thrown instanceof TypeError) throw new UsageError(thrown.message);
    throw thrown;
  }
}

async function connectServer(url: string, options: TargetOptions): Promise<Called> {
  const { agent } = options;
  return connect({ url, ...(agent !== undefined && { agent }), ...(await callOptions(url, options)) });
}

async function connectFound(
  capability: string,
  { registry, options }: { registry: string; options: TargetOptions },
): Promise<Called> {
  const needless = (["agent", "identity"] as const).find((name) => options[name] !== undefined);
  if (needless !== undefined) {
    throw new UsageError(
      `--${needless} is for one server; of ${capability}@${registry} the registry says who answers, and who that is`,
    );
  }
  const found = connect({ registry, ...(await callOptions(registry, options)) });
  return { ...found.capability(capability), close: () => found.close() };
}

async function callOptions(address: string, options: TargetOptions) {
  const { timeout, header = [], protocol } = options;
  const { tls, metadata } = await readCredentials(options, [address]);
  return { protocol, ...(timeout !== undefined && { timeoutMs: timeout }), metadata: withToken(header, metadata), tls };
}

/**
 * Waits until the resets of cancelled calls are on their way. Closing the connection at once would lose them, and a connection
 * that only breaks is no cancel: the agent would work on.
 */
export async function resetsSent(): Promise<void> {
  await setImmediate(); // what a turn of the event loop resets is written before the next turn's immediates
}

/** A header that is written out counts more than a token that lies in the environment. */
function withToken(header: readonly [string, string][], token: [string, string][]): [string, string][] {
  const isWritten = header.some(([name]) => name.toLowerCase() === "authorization");
  return [...header, ...(isWritten ? [] : token)];
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
