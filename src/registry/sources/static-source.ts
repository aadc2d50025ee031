import { cancelled } from "../../core/index.ts";
import { Feed } from "./feed.ts";
import { checkUrl, chooseListed, type ListedEndpoint } from "./list.ts";
import type { EndpointSource } from "./source.ts";

/**
 * Endpoints out of a list that does not change; a string is a URL.
 *
 * @throws TypeError for a URL that is none, or not http or https.
 */
export function createStaticSource(endpoints: readonly (string | ListedEndpoint)[]): EndpointSource {
  const list = endpoints.map((each): ListedEndpoint => (typeof each === "string" ? { url: each } : each));
  for (const { url } of list) checkUrl(url);
  const feed = new Feed<readonly ListedEndpoint[]>();
  feed.set(list);
  const closed = new AbortController();
  return {
    async discover(query, { signal } = {}) {
      signal?.throwIfAborted();
      return chooseListed(list, query);
    },
    async *watch(query, { signal }) {
      for await (const list of feed.read(AbortSignal.any([signal, closed.signal]))) yield chooseListed(list, query);
    },
    contract: () => undefined,
    close: () => closed.abort(cancelled("the source of endpoints was closed")),
  };
}
