import { networkInterfaces } from "node:os";
import { create, type DescService } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { Agent } from "../agent/index.ts";
import { EndpointSchema, type Load, RegistrationSchema, RegistryService } from "../contract/index.ts";
import { registryBounds } from "../core/index.ts";
import {
  contractOf,
  createRegistrar,
  createRegistryLink,
  type Registrar,
  type RegistryAddress,
  type RegistryLink,
} from "../registry/index.ts";

/** Where and how a server registers its agents. */
export interface RegisterOptions extends Omit<RegistryAddress, "registry"> {
  /**
   * The registry: a URL, `host:port`, `dns:///host:port`, or a list of replicas. Default: the server's own, when it has one
   * (`serve({ registry: true })`).
   */
  readonly registry?: RegistryAddress["registry"];
  /** The URL that callers reach this server by. Default: the one it listens at; bound to all addresses, the machine's first outside one. */
  readonly endpoint?: string;
  /** Where it stands, for callers that like it near. Default: nowhere in particular. */
  readonly zone?: string;
  /** How much it can take beside others, 1 to 1,000. Default 1. */
  readonly weight?: number;
  /** The agents' version (Semantic Versioning 2.0.0). Default: none. */
  readonly version?: string;
  /** The SPIFFE ID that this server proves. Default: the one that it proves to the registry, if any. */
  readonly identity?: string;
  /** How long the registrations outlive a server that dies, in milliseconds: 1,000 to 300,000. Default 30,000. */
  readonly ttlMs?: number;
}

/** What is registered of a server. */
export interface Registered {
  readonly agents: readonly Agent[];
  /** All services that it serves. */
  readonly services: readonly DescService[];
  readonly load: () => Pick<Load, "inFlight" | "capacity">;
  /** True when it has a registry of its own. */
  readonly hasRegistry: boolean;
  readonly log: Logger;
}

/** The registrations of a server's agents. */
export interface ServerRegistration {
  /** Registers every agent, now or as soon as the registry is there. @param url where the server listens, bound to `host`. */
  begin(url: string, host: string): void;
  /** Ends the registrations. Never throws. */
  end(): Promise<void>;
}

/** @throws TypeError for a registry or an endpoint that is none, RangeError for a wrong time. */
export function createRegistration(options: RegisterOptions, registered: Registered): ServerRegistration {
  const { registry, endpoint, ttlMs = registryBounds.ttlMs } = options;
  if (registry === undefined && !registered.hasRegistry) {
    throw new TypeError('register needs a registry: serve({ register: { registry: "https://registry:50050" } })');
  }
  if (endpoint !== undefined && !URL.canParse(endpoint)) throw new TypeError(`register.endpoint "${endpoint}" is no URL`);
  if (!(ttlMs >= registryBounds.minTtlMs && ttlMs <= registryBounds.maxTtlMs)) {
    throw new RangeError(
      `register.ttlMs is ${ttlMs}; it must be from ${registryBounds.minTtlMs} to ${registryBounds.maxTtlMs}`,
    );
  }
  const linkTo = (address: RegistryAddress["registry"]) => {
    return createRegistryLink({ registry: address, ...(options.tls && { tls: options.tls }) });
  };
  let link = registry === undefined ? undefined : linkTo(registry);
  let registrars: Registrar[] = [];
  return {
    begin(url, host) {
      link ??= linkTo(url);
      registrars = startRegistrars(link, { ...options, endpoint: endpoint ?? publishedUrl(url, host) }, registered);
    },
    async end() {
      await Promise.all(registrars.map((registrar) => registrar.close()));
      link?.close();
    },
  };
}

function startRegistrars(
  link: RegistryLink,
  options: RegisterOptions & { readonly endpoint: string },
  { agents, services, load, log }: Registered,
): Registrar[] {
  const { endpoint, zone = "", weight = 1, version = "", identity = "", ttlMs } = options;
  const contract = contractOf(services.filter(isOwn));
  return agents.map(({ name, description, capabilities }) => {
    const registration = create(RegistrationSchema, {
      agent: { name, description, capabilities: [...capabilities], version },
      endpoints: [create(EndpointSchema, { url: new URL(endpoint).origin, zone, weight })],
      identity,
    });
    return createRegistrar({ link, registration, contract, load, log, ...(ttlMs !== undefined && { ttlMs }) });
  });
}

/** What every server has beside its agents is no part of what they promise. */
function isOwn({ typeName }: DescService): boolean {
  return !typeName.startsWith("grpc.") && typeName !== RegistryService.typeName;
}

/** Others cannot call "all addresses", nor this machine by "localhost". */
function publishedUrl(url: string, host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return url;
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"));
  const chosen = outside.find(({ family }) => family === "IPv4") ?? (host === "::" ? outside[0] : undefined);
  if (chosen === undefined) return url;
  const { protocol, port } = new URL(url);
  return `${protocol}//${chosen.family === "IPv6" ? `[${chosen.address}]` : chosen.address}:${port}`;
}
