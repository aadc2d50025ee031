import type { EndpointSource } from "../../src/index.ts";

/** What a watch of a source has told until now, by URL. */
export interface Followed {
  readonly urls: ReadonlySet<string>;
  /** The fewest endpoints that it has told of at once, since it first told of any. */
  readonly fewest: number;
  /** When each came and went, by `Date.now`. */
  readonly cameAt: ReadonlyMap<string, number>;
  readonly wentAt: ReadonlyMap<string, number>;
  stop(): void;
}

/** Follows the endpoints of an agent. */
export function follow(source: EndpointSource, agent: string): Followed {
  const stopped = new AbortController();
  const cameAt = new Map<string, number>();
  const wentAt = new Map<string, number>();
  let urls: ReadonlySet<string> = new Set();
  let fewest = Number.POSITIVE_INFINITY;
  const read = async () => {
    for await (const endpoints of source.watch({ agent }, { signal: stopped.signal })) {
      const told = new Set(endpoints.map(({ url }) => url));
      for (const url of told) if (!urls.has(url)) cameAt.set(url, Date.now());
      for (const url of urls) if (!told.has(url)) wentAt.set(url, Date.now());
      if (cameAt.size > 0) fewest = Math.min(fewest, told.size);
      urls = told;
    }
  };
  read().catch((thrown: unknown) => {
    if (!stopped.signal.aborted) throw thrown;
  });
  return {
    cameAt,
    wentAt,
    stop: () => stopped.abort(),
    get urls() {
      return urls;
    },
    get fewest() {
      return fewest;
    },
  };
}
