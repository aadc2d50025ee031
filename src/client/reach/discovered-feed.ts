import type { AgentEndpoint, AgentQuery, EndpointSource } from "../../registry/index.ts";
import type { Endpoint, EndpointFeed } from "./feed.ts";

/**
 * What a registry, or another source of discovery, finds for a query, as endpoints to balance over. The source stays the caller's; when
 * it is away, the endpoints that it knew last go on to hold.
 */
export function discoveredFeed(source: EndpointSource, query: AgentQuery): EndpointFeed {
  return {
    watch(listener) {
      const stop = new AbortController();
      const follow = async () => {
        try {
          for await (const found of source.watch(query, { signal: stop.signal })) listener.changed(found.map(toEndpoint));
        } catch (reason) {
          if (!stop.signal.aborted) listener.failed(reason);
        }
      };
      void follow();
      return () => stop.abort();
    },
  };
}

function toEndpoint({ url, zone, weight, identity, load }: AgentEndpoint): Endpoint {
  return {
    url,
    weight,
    ...(zone !== "" && { zone }),
    ...(identity !== "" && { identity }),
    ...(load !== undefined && load.capacity > 0 && { load: Math.min(1, load.inFlight / load.capacity) }),
  };
}
