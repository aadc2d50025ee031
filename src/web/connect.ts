import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import type { guardCall } from "../guardrail/index.ts";
import type { CallDefaults } from "./call-options.ts";
import { type AgentCalls, createAgentCalls } from "./calls.ts";
import { networkFailures } from "./network.ts";

/** How to reach the server, and what holds for every call. */
export interface ConnectOptions extends CallDefaults {
  /** Where the server is, with a path prefix if it has one. Default: the page's own origin. */
  readonly baseUrl?: string;
  /** The protocol on the wire. Default: `grpc-web`, which every gRPC proxy understands. */
  readonly protocol?: keyof typeof transports;
  /** Used instead of the global `fetch`, for instance to send credentials to another origin. */
  readonly fetch?: typeof globalThis.fetch;
  /** `guardCall` of `convoke/guardrail`, for calls that have guardrails; pages that have none need not load it. Default: such calls fail. */
  readonly guard?: typeof guardCall;
}

/** Both speak binary: a failed task's error details are `Any` messages, which JSON could not carry without their types. */
const transports = {
  "grpc-web": createGrpcWebTransport,
  connect: createConnectTransport,
} as const;

/**
 * The agents of a server, for browsers and every other runtime with `fetch`. Nothing is sent before the first call.
 *
 * @param options the server's URL alone, or options.
 * @throws TypeError when there is no `baseUrl` and no page whose origin could stand in; RangeError for an unknown protocol.
 */
export function connect(options: string | ConnectOptions = {}): AgentCalls {
  const { baseUrl = pageOrigin(), protocol = "grpc-web", fetch, guard, ...defaults } = asOptions(options);
  if (!Object.hasOwn(transports, protocol)) {
    throw new RangeError(`there is no protocol "${protocol}"; the protocols are ${Object.keys(transports).join(", ")}`);
  }
  const transport = transports[protocol]({
    baseUrl,
    useBinaryFormat: true,
    interceptors: [networkFailures],
    ...(fetch !== undefined && { fetch }),
  });
  return createAgentCalls(transport, defaults, { ...(guard && { guard }) });
}

function asOptions(options: string | ConnectOptions): ConnectOptions {
  return typeof options === "string" ? { baseUrl: options } : options;
}

function pageOrigin(): string {
  const origin = globalThis.location?.origin;
  // A page from a file has the origin "null" (HTML standard, section 7.1.1).
  if (origin === undefined || origin === "null")
    throw new TypeError("connect needs a baseUrl where there is no page served over HTTP");
  return origin;
}
