export type { AccessOptions } from "./access.ts";
export type { MemoryServeOptions } from "./memory-service.ts";
export type { RegisterOptions } from "./registration.ts";
export type { RegistryServeOptions } from "./registry-service.ts";
export { type ServeOptions, type Server, serve } from "./serve.ts";
export { closeOnSignals } from "./signals.ts";
