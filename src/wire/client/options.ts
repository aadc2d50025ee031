import type { Registry } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { defaultLimits, wireBounds } from "../../core/index.ts";
import type { ClientTls } from "../client-tls.ts";
import type { CodecName } from "../codec.ts";
import { type CompressionName, compressions } from "../compression.ts";
import type { ProtocolName, WireOptions } from "./method.ts";

export interface TransportOptions {
  /** Scheme, host and port of the server, and a path prefix if it has one. `http://` is HTTP/2 with prior knowledge. */
  readonly baseUrl: string;
  /** Default `grpc`. */
  readonly protocol?: ProtocolName;
  /** Default `2`: one connection for all calls. `1.1` carries no bidirectional streams and no gRPC. */
  readonly httpVersion?: "1.1" | "2";
  /** Default `proto`. */
  readonly codec?: CodecName;
  readonly tls?: ClientTls;
  /** Around every call, the first one outermost. Default: none, which is also the fastest. */
  readonly interceptors?: readonly Interceptor[];
  /** Compresses messages that are sent. Default: none. */
  readonly sendCompression?: CompressionName;
  /** Compressions that the server may use. Default: gzip and br. */
  readonly acceptCompression?: readonly CompressionName[];
  /** The shortest message that is compressed, in bytes. Default 1,024. */
  readonly compressMinBytes?: number;
  /** The longest message that is taken, on the wire and after decompression. Default 4 MiB, gRPC's own. */
  readonly maxMessageBytes?: number;
  /** Uses HTTP GET for methods without side effects; Connect only. Default false. */
  readonly useHttpGet?: boolean;
  /** Milliseconds for calls that give no timeout. Default: none. */
  readonly defaultTimeoutMs?: number;
  /** Message types that travel as `Any`, beside the google.rpc error details; JSON needs to know them. */
  readonly types?: Registry;
  /** Milliseconds until a connection has to be there. Default 20 s (gRPC connection backoff). */
  readonly connectTimeoutMs?: number;
  /** Pings the server this often while calls are open. At least 10 s; default: never (gRFC A8). */
  readonly keepaliveMs?: number;
  /** Milliseconds until a ping has to be answered, else the connection is broken. Default 20 s. */
  readonly keepaliveTimeoutMs?: number;
}

const minKeepaliveMs = 10_000;

const choices = {
  protocol: ["grpc", "grpc-web", "connect"],
  httpVersion: ["1.1", "2"],
  codec: ["proto", "json"],
  sendCompression: compressions.map(({ name }) => name),
} as const;

/** @throws RangeError for what the types cannot keep out. */
export function checkOptions(options: TransportOptions): void {
  for (const [name, allowed] of Object.entries(choices)) {
    const value: unknown = options[name as keyof typeof choices]; // Object.entries forgets the names
    if (value === undefined || allowed.some((each) => each === value)) continue;
    throw new RangeError(`${name} is ${JSON.stringify(value)}; it must be one of ${allowed.join(", ")}`);
  }
  const { keepaliveMs, httpVersion, protocol = "grpc" } = options;
  if (keepaliveMs !== undefined && !(keepaliveMs >= minKeepaliveMs)) {
    throw new RangeError(`keepaliveMs is ${keepaliveMs}; servers take offence at less than ${minKeepaliveMs}`);
  }
  if (httpVersion === "1.1" && protocol === "grpc") {
    throw new RangeError("gRPC needs HTTP/2; over HTTP/1.1 choose protocol grpc-web or connect");
  }
}

/** @throws TypeError for what is no http or https URL. */
export function parseBaseUrl(baseUrl: string): URL {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new TypeError(`baseUrl "${baseUrl}" is no server; write http://host:port or https://host:port`);
}

/** The options of the wire, complete. */
export function resolveWire(options: TransportOptions, url: URL): WireOptions {
  return {
    protocol: options.protocol ?? "grpc",
    codec: options.codec ?? "proto",
    pathPrefix: url.pathname.replace(/\/+$/, ""),
    sendCompression: options.sendCompression,
    acceptCompression: options.acceptCompression ?? ["gzip", "br"],
    compressMinBytes: options.compressMinBytes ?? wireBounds.compressMinBytes,
    maxMessageBytes: options.maxMessageBytes ?? defaultLimits.maxMessageBytes,
    useHttpGet: options.useHttpGet ?? false,
    types: options.types,
  };
}
