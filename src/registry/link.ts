import { type LookupAddress, lookup as lookUp } from "node:dns";
import { promisify } from "node:util";
import { type Client, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { RegistryService } from "../contract/index.ts";
import { registryBounds, unavailable } from "../core/index.ts";
import { type ClientTls, type ClosableTransport, createTransport } from "../wire/index.ts";

export type RegistryClient = Client<typeof RegistryService>;

/** Where a registry is found. */
export interface RegistryAddress {
  /**
   * A URL (`https://registry:50050`), `host:port` for HTTP/2 without TLS, `dns:///host:port` for every address that the name resolves to
   * at the time, without TLS, or a list of such: replicas of one registry. The first that answers is used.
   */
  readonly registry: string | readonly string[];
  /** Trust for `https` URLs, and this side's own certificate. */
  readonly tls?: ClientTls;
  /** Request headers of every call to the registry, such as a bearer token. Default: none. */
  readonly metadata?: HeadersInit;
}

/** A registry as its clients call it: one of its replicas, and another when that one does not answer. */
export interface RegistryLink {
  /**
   * Lets the attempt call the registry; again at each other replica when one cannot be reached, is silent, or is no registry.
   *
   * @throws what the last attempt threw: UNAVAILABLE, DEADLINE_EXCEEDED or UNIMPLEMENTED when there is no registry to be had now; what else
   *   it threw, at once.
   */
  call<T>(attempt: (client: RegistryClient) => Promise<T>): Promise<T>;
  /** Closes the connections; calls in flight end with CANCELLED. */
  close(): void;
}

/** Connections that are kept, the oldest leaving first: names may come to stand for other addresses. */
const maxConnections = 64;

/** A connection that died in silence would let a watch wait for ever. */
const keepaliveMs = 30_000;

/** @throws TypeError when an address is none. Nothing is sent yet. */
export function createRegistryLink({ registry, ...options }: RegistryAddress): RegistryLink {
  const places = [registry].flat().map(parse);
  if (places.length === 0) throw new TypeError("a registry needs at least one address");
  return new Link(places, options);
}

/** Gives the URLs that it stands for now. */
type Place = () => Promise<readonly string[]>;

const lookupAll = promisify(lookUp);

function parse(address: string): Place {
  const [, host, port] = /^dns:\/\/\/([^:/]+):(\d{1,5})$/i.exec(address) ?? [];
  if (host !== undefined) {
    return async () => (await lookupAll(host, { all: true })).map((found) => `http://${bracketed(found)}:${port}`);
  }
  const text = /^https?:\/\//i.test(address) ? address : `http://${address}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || `${url.origin}/` !== url.href) {
    throw new TypeError(
      `"${address}" is no registry; write http://host:port, https://host:port, host:port or dns:///host:port`,
    );
  }
  return async () => [url.origin];
}

function bracketed({ address, family }: LookupAddress): string {
  return family === 6 ? `[${address}]` : address;
}

class Link implements RegistryLink {
  readonly #places: readonly Place[];
  readonly #options: Omit<RegistryAddress, "registry">;
  readonly #connections = new Map<string, { client: RegistryClient; transport: ClosableTransport }>();
  /** Replicas that this round has not tried. */
  #untried: string[] = [];
  #current: RegistryClient | undefined;
  #closed = false;

  constructor(places: readonly Place[], options: Omit<RegistryAddress, "registry">) {
    this.#places = places;
    this.#options = options;
  }

  async call<T>(attempt: (client: RegistryClient) => Promise<T>): Promise<T> {
    const tried = new Set<RegistryClient>();
    let failure: unknown;
    for (;;) {
      const client = await this.#client();
      if (tried.has(client)) throw failure;
      tried.add(client);
      try {
        return await attempt(client);
      } catch (thrown) {
        if (!isAway(thrown)) throw thrown;
        failure = thrown;
        if (this.#current === client) this.#current = undefined;
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const { transport } of this.#connections.values()) transport.close();
  }

  async #client(): Promise<RegistryClient> {
    if (this.#current !== undefined) return this.#current;
    if (this.#untried.length === 0) this.#untried = await this.#replicas();
    this.#current = this.#connect(this.#untried.shift() ?? "");
    return this.#current;
  }

  async #replicas(): Promise<string[]> {
    const found = await Promise.allSettled(this.#places.map((place) => place()));
    const urls = found.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
    if (urls.length > 0) return [...new Set(urls)];
    const cause = found.find((each) => each.status === "rejected")?.reason;
    throw unavailable("the registry's name cannot be resolved", 1_000, { cause });
  }

  #connect(baseUrl: string): RegistryClient {
    const known = this.#connections.get(baseUrl);
    if (known !== undefined) return known.client;
    const { tls, metadata } = this.#options;
    const withHeaders: Interceptor = (next) => (request) => {
      new Headers(metadata).forEach((value, name) => {
        request.header.set(name, value);
      });
      return next(request);
    };
    const interceptors = metadata === undefined ? [] : [withHeaders];
    const transport = createTransport({ baseUrl, keepaliveMs, interceptors, ...(tls && { tls }) });
    const client = createClient(RegistryService, transport);
    this.#connections.set(baseUrl, { client, transport });
    if (this.#closed) transport.close();
    const [oldest] = this.#connections;
    if (this.#connections.size > maxConnections && oldest !== undefined) {
      this.#connections.delete(oldest[0]);
      oldest[1].transport.close();
    }
    return client;
  }
}

function isAway(thrown: unknown): boolean {
  const { code } = ConnectError.from(thrown);
  return code === Code.Unavailable || code === Code.DeadlineExceeded || code === Code.Unimplemented;
}

/** What every unary call to a registry carries. */
export function callOptions(signal?: AbortSignal) {
  return { timeoutMs: registryBounds.callTimeoutMs, ...(signal && { signal }) };
}
