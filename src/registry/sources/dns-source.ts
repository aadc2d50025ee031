import { Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { cancelled, pause, unavailable } from "../../core/index.ts";
import { Feed } from "./feed.ts";
import { checkUrl, chooseListed, type ListedEndpoint } from "./list.ts";
import type { EndpointSource } from "./source.ts";

export interface DnsSourceOptions extends Omit<ListedEndpoint, "url" | "weight"> {
  /**
   * The name to resolve. With a `port`, its A and AAAA records are the endpoints, as of a headless service of Kubernetes. Without one, its SRV
   * records (RFC 2782) are, such as `_grpc._tcp.agents.example`: those of the lowest priority, by the targets' names.
   */
  readonly name: string;
  /** The endpoints' port, 1 to 65,535. */
  readonly port?: number;
  /** Default `http`. */
  readonly scheme?: "http" | "https";
  /** How long an answer counts, in milliseconds. Default 30,000; at least 100. */
  readonly periodMs?: number;
  /** Name servers to ask, `address` or `address:port`. Default: this machine's. */
  readonly servers?: readonly string[];
  /** How long one question may take, in milliseconds; it is asked twice. Default 2,000. */
  readonly timeoutMs?: number;
}

/** DNS keeps the last answer when no server gives one (SERVFAIL, no reply); a name without records has no endpoints. */
const emptyCodes = ["ENOTFOUND", "ENODATA"];

const minPeriodMs = 100;

/**
 * Endpoints out of DNS, resolved with the first query and then every `periodMs`, as long as the source is open. All have the agent, the
 * capabilities and the rest that the options say.
 *
 * @throws TypeError for a name that is none, RangeError for a wrong period, TypeError of Node for a wrong server.
 */
export function createDnsSource(options: DnsSourceOptions): EndpointSource {
  checkOptions(options);
  const source = new DnsSource(options);
  return {
    async discover(query, { signal } = {}) {
      return chooseListed(await source.known(signal), query);
    },
    async *watch(query, { signal }) {
      source.begin();
      for await (const list of source.feed.read(AbortSignal.any([signal, source.closed]))) yield chooseListed(list, query);
    },
    contract: () => undefined,
    close: () => source.close(),
  };
}

function checkOptions({ name, port, scheme = "http", periodMs = 30_000 }: DnsSourceOptions): void {
  if (isIP(name) !== 0 || name === "") throw new TypeError(`"${name}" is no name to resolve; a list takes addresses`);
  checkUrl(`${scheme}://${name}:${port ?? 1}`);
  if (!(periodMs >= minPeriodMs)) throw new RangeError(`periodMs is ${periodMs}; it must be ${minPeriodMs} or more`);
}

class DnsSource {
  readonly feed = new Feed<readonly ListedEndpoint[]>();
  readonly #options: DnsSourceOptions;
  readonly #resolver: Resolver;
  readonly #closed = new AbortController();
  #begun = false;
  #failure: unknown;

  constructor(options: DnsSourceOptions) {
    this.#options = options;
    this.#resolver = new Resolver({ timeout: options.timeoutMs ?? 2_000, tries: 2 });
    if (options.servers !== undefined) this.#resolver.setServers(options.servers);
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    void this.#run();
  }

  async known(signal: AbortSignal | undefined): Promise<readonly ListedEndpoint[]> {
    this.#closed.signal.throwIfAborted();
    this.begin();
    while (this.feed.value === undefined) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.feed.changed(signal);
    }
    return this.feed.value;
  }

  close(): void {
    this.#failure = cancelled("the source of endpoints was closed");
    this.#closed.abort(this.#failure);
    this.#resolver.cancel();
    this.feed.wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    const { periodMs = 30_000, name } = this.#options;
    while (!signal.aborted) {
      try {
        const list = await this.#resolve();
        if (!isSame(list, this.feed.value)) this.feed.set(list);
      } catch (cause) {
        if (signal.aborted) return;
        this.#failure = unavailable(`"${name}" cannot be resolved now`, periodMs, { cause });
        this.feed.wake();
      }
      await pause(periodMs, signal);
      if (!signal.aborted) this.#failure = undefined;
    }
  }

  async #resolve(): Promise<ListedEndpoint[]> {
    const { name, port, scheme = "http", agent, capabilities, version, zone, identity } = this.#options;
    const told = { agent, capabilities, version, zone, identity };
    const found = port === undefined ? await this.#services(name) : await this.#addresses(name, port);
    const listed = found.map(({ host, port, weight }): ListedEndpoint => {
      return { ...defined(told), url: `${scheme}://${host}:${port}`, weight };
    });
    return listed.sort((one, other) => (one.url < other.url ? -1 : 1));
  }

  async #addresses(name: string, port: number): Promise<Found[]> {
    const [four, six] = await Promise.all([orNone(this.#resolver.resolve4(name)), orNone(this.#resolver.resolve6(name))]);
    const hosts = new Set([...four, ...six.map((address) => `[${address}]`)]);
    return [...hosts].map((host) => ({ host, port, weight: 1 }));
  }

  async #services(name: string): Promise<Found[]> {
    const records = await orNone(this.#resolver.resolveSrv(name));
    const lowest = Math.min(...records.map(({ priority }) => priority));
    return records
      .filter(({ priority, name }) => priority === lowest && name !== "" && name !== ".") // "." says that there is no service
      .map(({ name, port, weight }) => ({ host: name, port, weight: Math.min(Math.max(weight, 1), maxWeight) }));
  }
}

interface Found {
  readonly host: string;
  readonly port: number;
  readonly weight: number;
}

/** SRV weights go to 65,535, ours to less; what is above counts as much as that. */
const maxWeight = 1_000;

async function orNone<T>(records: Promise<T[]>): Promise<T[]> {
  try {
    return await records;
  } catch (thrown) {
    const code = typeof thrown === "object" && thrown !== null && "code" in thrown ? String(thrown.code) : "";
    if (emptyCodes.includes(code)) return [];
    throw thrown;
  }
}

function isSame(list: readonly ListedEndpoint[], before: readonly ListedEndpoint[] | undefined): boolean {
  return JSON.stringify(list) === JSON.stringify(before);
}

type Told = Omit<ListedEndpoint, "url" | "weight">;

function defined(told: { readonly [Name in keyof Told]-?: Told[Name] | undefined }): Told {
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined)) as Told; // the rest is said
}
