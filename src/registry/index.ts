/** Leases, discovery and watch: who can do what, where. */
export { type AddressPolicy, createAddressPolicy } from "./address.ts";
export { type ContractDifference, type ContractLookup, contractDifferences } from "./compatible.ts";
export { contractOf, readContract } from "./contract.ts";
export { createRegistry, type Registry, type RegistryOptions } from "./registry.ts";
export type { AgentQuery } from "./select.ts";
