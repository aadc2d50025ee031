/** Leases, discovery and watch: who can do what, where. */
export { type AddressPolicy, createAddressPolicy } from "./address.ts";
export { type ContractDifference, type ContractLookup, contractDifferences } from "./compatible.ts";
export { contractOf, readContract } from "./contract.ts";
export { fitOf, type MethodFit } from "./fit.ts";
export { createRegistryLink, type RegistryAddress, type RegistryClient, type RegistryLink } from "./link.ts";
export { createRegistrar, type Registrar, type RegistrarOptions } from "./registrar.ts";
export { createRegistry, type Registry, type RegistryOptions } from "./registry.ts";
export type { AgentQuery } from "./select.ts";
export { createDnsSource, type DnsSourceOptions } from "./sources/dns-source.ts";
export type { ListedEndpoint } from "./sources/list.ts";
export { createRegistrySource, type RegistrySourceOptions } from "./sources/registry-source.ts";
export type { AgentEndpoint, EndpointSource } from "./sources/source.ts";
export { createStaticSource } from "./sources/static-source.ts";
