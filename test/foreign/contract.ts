import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  makeClientConstructor,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** Where a package of node_modules is. */
export const packageRoot = (name: string) => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));

const contract = loadSync(["agent/v1/agent.proto", "agent/agent.proto", "health/v1/health.proto"], {
  includeDirs: [
    fileURLToPath(new URL("../../proto", import.meta.url)),
    packageRoot("google-proto-files"),
    join(packageRoot("grpc-health-check"), "proto"),
  ],
  keepCase: true,
  enums: String,
  defaults: true,
  oneofs: true,
});

/** A service of the contract as grpc-js and nice-grpc know services: read from the `.proto` files when the program runs. */
export function definitionOf(service: string): ServiceDefinition {
  return contract[service] as ServiceDefinition; // the name is that of a service, not of a message
}

interface StubOptions extends ChannelOptions {
  readonly credentials: ChannelCredentials;
}

/** A client of grpc-js for a service of the contract. `Stub` says which methods that has. */
export function createStub<Stub extends Client>(
  service: string,
  address: string,
  { credentials, ...options }: StubOptions,
): Stub {
  const ServiceClient = makeClientConstructor(definitionOf(service), service);
  const client: Client = new ServiceClient(address, credentials, options);
  return client as Stub; // what methods it has TypeScript has not read
}
