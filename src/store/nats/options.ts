import { readFileSync } from "node:fs";
import { type ConnectionOptions, credsAuthenticator } from "@nats-io/transport-node";
import { failedPrecondition, natsBounds } from "../../core/index.ts";

/** Which NATS, and how it is used. */
export interface NatsStoreOptions {
  /** Its servers, each `host:port`, `nats://host:port` or `tls://host:port`; one is enough, the others are learnt from it. */
  readonly servers: string | readonly string[];
  /**
   * How many servers keep each entry, 1 to 5. Default 3: what was acknowledged survives the loss of one. With 1 it is lost with its server,
   * and there is nothing while that is away.
   */
  readonly replicas?: number;
  /** Begins the names of streams and subjects: 1 to 32 letters, digits, `-` and `_`. Stores with one prefix are one store. Default "convoke". */
  readonly prefix?: string;
  /**
   * What the logs may take on each server, in bytes, at least 1 MiB, spread evenly over four streams. It counts when the streams are made; later
   * it is changed at NATS. Default: what account and disk allow.
   */
  readonly maxBytes?: number;
  /** Who this is. Default: nobody, which a server may allow. */
  readonly credentials?: NatsCredentials;
  /** Encrypts the connection, also when the address does not say so; the server's certificate is checked. Default: what the address says. */
  readonly tls?: NatsTlsOptions;
  /** How long the start waits for servers, JetStream and streams, in milliseconds, 100 to 600,000. Default 10,000. */
  readonly connectTimeoutMs?: number;
}

/** How a NATS server knows a client. */
export type NatsCredentials =
  | { readonly user: string; readonly password: string }
  | { readonly token: string }
  /** The path of a `.creds` file: a user's JWT and its key. */
  | { readonly file: string };

/** Certificates in PEM. */
export interface NatsTlsOptions {
  /** Who may sign the server's. Default: the authorities that Node knows. */
  readonly ca?: string;
  /** The client's own, with {@link key}. */
  readonly certificate?: string;
  readonly key?: string;
  /** Begins with TLS before the server has said a word; it must be set to that too. Default false. */
  readonly handshakeFirst?: boolean;
}

/** What was chosen, and the defaults. */
export interface NatsSettings {
  readonly servers: readonly string[];
  readonly replicas: number;
  readonly prefix: string;
  readonly maxBytes: number | undefined;
  readonly connectTimeoutMs: number;
  readonly connection: ConnectionOptions;
}

/** @throws RangeError that names the option; ConnectError FAILED_PRECONDITION when the file of credentials cannot be read. */
export function resolveNatsOptions(options: NatsStoreOptions): NatsSettings {
  const { replicas = 3, prefix = "convoke", maxBytes, connectTimeoutMs = natsBounds.connectTimeoutMs } = options;
  const servers = typeof options.servers === "string" ? [options.servers] : options.servers;
  if (servers.length === 0) throw new RangeError("servers is empty; name at least one as host:port");
  servers.forEach(checkServer);
  whole("replicas", replicas, [1, 5]);
  whole("connectTimeoutMs", connectTimeoutMs, [100, natsBounds.maxConnectTimeoutMs]);
  if (maxBytes !== undefined) whole("maxBytes", maxBytes, [1024 * 1024, Number.MAX_SAFE_INTEGER]);
  if (!/^[A-Za-z0-9_-]{1,32}$/.test(prefix)) {
    throw new RangeError(`prefix is ${JSON.stringify(prefix)}; it must be 1 to 32 letters, digits, "-" and "_"`);
  }
  const connection: ConnectionOptions = {
    servers: [...servers],
    name: `convoke ${prefix}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    ignoreAuthErrorAbort: true, // a server that restarts may not know its users yet
    pingInterval: 10_000,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...authentication(options.credentials),
    ...(options.tls !== undefined && { tls: tlsOptions(options.tls) }),
  };
  return { servers, replicas, prefix, maxBytes, connectTimeoutMs, connection };
}

function checkServer(server: string): void {
  const address = /^(?:(?:nats|tls):\/\/)?([^/@\s]+)$/.exec(server);
  if (address !== null) return;
  // Not repeated in the message: it may hold a password.
  throw new RangeError(
    "a server must be host:port, nats://host:port or tls://host:port; who this is belongs into `credentials`",
  );
}

function whole(name: string, value: number, [least, most]: readonly [number, number]): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`${name} is ${value}; it must be a whole number from ${least} to ${most}`);
}

function authentication(credentials: NatsCredentials | undefined): ConnectionOptions {
  if (credentials === undefined) return {};
  if ("token" in credentials) return { token: credentials.token };
  if ("user" in credentials) return { user: credentials.user, pass: credentials.password };
  const { file } = credentials;
  try {
    return { authenticator: credsAuthenticator(readFileSync(file)) };
  } catch {
    const description = `the NATS credentials in ${file} cannot be read`;
    throw failedPrecondition({ type: "NATS_CREDENTIALS", subject: file, description });
  }
}

function tlsOptions({ ca, certificate, key, handshakeFirst }: NatsTlsOptions): NonNullable<ConnectionOptions["tls"]> {
  return {
    ...(ca !== undefined && { ca }),
    ...(certificate !== undefined && { cert: certificate }),
    ...(key !== undefined && { key }),
    ...(handshakeFirst !== undefined && { handshakeFirst }),
  };
}
