import type { AgentEndpoint, AgentQuery, EndpointSource } from "../../registry/index.ts";
import type { Endpoint, EndpointFeed } from "./feed.ts";

/**
 * What a registry, or another source of discovery, finds for a query, as endpoints to balance over. The source stays the caller's; when
 * it is away, the endpoints that it knew last go on to hold.
 */
export function discoveredFeed(source: EndpointSource, query: AgentQuery): EndpointFeed {
  return {
    name: nameOf(query),
    watch(listener) {
      const stop = new AbortController();
      const { signal } = stop;
      const fail = (reason: unknown) => {
        if (!signal.aborted) listener.failed(reason);
      };
      const follow = async () => {
        try {
          for await (const found of source.watch(query, { signal })) {
            listener.changed(found.map((endpoint) => toEndpoint(endpoint, source)));
          }
        } catch (reason) {
          fail(reason);
        }
      };
      void follow();
      source.discover(query, { signal }).catch(fail); // a watch waits for a source that is away, and says nothing
      return () => stop.abort();
    },
  };
}

function nameOf({ capability = "", agent = "" }: AgentQuery): string {
  const names = [capability && `capability "${capability}"`, agent && `agent "${agent}"`];
  return names.filter((name) => name !== "").join(" of ") || "any agent";
}

function toEndpoint(found: AgentEndpoint, source: EndpointSource): Endpoint {
  const { url, zone, weight, identity, load, contractSha256 } = found;
  const contract = contractSha256 === "" ? undefined : source.contract(contractSha256);
  return {
    url,
    weight,
    ...(zone !== "" && { zone }),
    ...(identity !== "" && { identity }),
    ...(contract !== undefined && { contract }),
    ...(load !== undefined && load.capacity > 0 && { load: Math.min(1, load.inFlight / load.capacity) }),
  };
}
