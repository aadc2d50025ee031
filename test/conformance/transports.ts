import type { ClientCompatRequest } from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.js";
import { Codec, Compression, HTTPVersion, Protocol } from "../../.cache/conformance/gen/connectrpc/conformance/v1/config_pb.js";
import { type ClosableTransport, createTransport, type TransportOptions } from "../../src/wire/index.ts";
import { conformanceTypes } from "./service.ts";

/** The transports of a run. */
export interface Transports {
  /** The transport for a call; calls with the same options to the same server share one, as an application's calls do. */
  of(request: ClientCompatRequest): ClosableTransport;
  close(): void;
}

export function createTransports(): Transports {
  const transports = new Map<string, ClosableTransport>();
  return {
    of(request) {
      const options = optionsOf(request);
      const key = JSON.stringify(options);
      const transport = transports.get(key) ?? createTransport({ ...options, types: conformanceTypes });
      transports.set(key, transport);
      return transport;
    },
    close() {
      for (const transport of transports.values()) transport.close();
    },
  };
}

/** All that distinguishes one transport from another, in a form that JSON can compare. */
function optionsOf(request: ClientCompatRequest): TransportOptions {
  const tls = tlsOf(request);
  const compression = compressionOf(request.compression);
  return {
    baseUrl: `${tls === undefined ? "http" : "https"}://${request.host}:${request.port}`,
    protocol: protocolOf(request.protocol),
    httpVersion: httpVersionOf(request.httpVersion),
    codec: codecOf(request.codec),
    useHttpGet: request.useGetHttpMethod,
    // The suite's messages are small, and each of them shall be compressed.
    compressMinBytes: 0,
    // A call without compression offers none either: some answers must not be compressed then.
    acceptCompression: compression === undefined ? [] : [compression],
    ...(compression !== undefined && { sendCompression: compression }),
    ...(request.messageReceiveLimit > 0 && { maxMessageBytes: request.messageReceiveLimit }),
    ...(tls !== undefined && { tls }),
  };
}

function tlsOf({ serverTlsCert, clientTlsCreds }: ClientCompatRequest): TransportOptions["tls"] {
  if (serverTlsCert.length === 0) return undefined;
  const ca = pemOf(serverTlsCert);
  return clientTlsCreds === undefined ? { ca } : { ca, cert: pemOf(clientTlsCreds.cert), key: pemOf(clientTlsCreds.key) };
}

function pemOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function protocolOf(protocol: Protocol): "grpc" | "grpc-web" | "connect" {
  if (protocol === Protocol.GRPC) return "grpc";
  if (protocol === Protocol.GRPC_WEB) return "grpc-web";
  if (protocol === Protocol.CONNECT) return "connect";
  throw new Error(`unknown protocol ${protocol}`);
}

function httpVersionOf(version: HTTPVersion): "1.1" | "2" {
  if (version === HTTPVersion.HTTP_VERSION_1) return "1.1";
  if (version === HTTPVersion.HTTP_VERSION_2) return "2";
  throw new Error(`unsupported HTTP version ${version}`);
}

function codecOf(codec: Codec): "proto" | "json" {
  if (codec === Codec.PROTO) return "proto";
  if (codec === Codec.JSON) return "json";
  throw new Error(`unsupported codec ${codec}`);
}

function compressionOf(compression: Compression): "gzip" | "br" | undefined {
  if (compression === Compression.GZIP) return "gzip";
  if (compression === Compression.BR) return "br";
  if (compression === Compression.IDENTITY || compression === Compression.UNSPECIFIED) return undefined;
  throw new Error(`unsupported compression ${compression}`);
}
