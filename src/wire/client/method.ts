import type { DescMessage, DescMethod, Registry } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { type Codec, type CodecName, createCodec } from "../codec.ts";
import { type Compression, type CompressionName, compressions } from "../compression.ts";
import type { HeaderList } from "../exchange.ts";
import { createJsonOptions } from "../json.ts";
import { connectStream } from "./connect-stream.ts";
import { connectUnary } from "./connect-unary.ts";
import { grpc } from "./grpc.ts";
import { grpcWeb } from "./grpc-web.ts";
import type { ClientProtocol } from "./protocol.ts";

export type ProtocolName = "grpc" | "grpc-web" | "connect";

/** What every call of a transport shares. */
export interface WireOptions {
  readonly protocol: ProtocolName;
  readonly codec: CodecName;
  /** The base URL's path, without a slash at its end. */
  readonly pathPrefix: string;
  readonly sendCompression: CompressionName | undefined;
  readonly acceptCompression: readonly CompressionName[];
  readonly compressMinBytes: number;
  readonly maxMessageBytes: number;
  readonly useHttpGet: boolean;
  readonly types: Registry | undefined;
}

/** A method as this transport calls it. */
export interface ClientMethod {
  readonly desc: DescMethod;
  readonly protocol: ClientProtocol;
  readonly options: WireOptions;
  readonly path: string;
  /** The fields that every request of it has. */
  readonly headers: HeaderList;
  readonly input: Codec<DescMessage>;
  readonly output: Codec<DescMessage>;
  readonly compression: Compression | undefined;
  /** Called with Connect's GET. */
  readonly get: boolean;
}

export function createClientMethod(desc: DescMethod, options: WireOptions): ClientMethod {
  const { codec, acceptCompression, sendCompression, pathPrefix } = options;
  const protocol = protocolFor(desc, options.protocol);
  const safe = desc.methodKind === "unary" && desc.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
  const headers = [...protocol.requestHeaders(codec)];
  if (acceptCompression.length > 0) headers.push(protocol.headers.acceptEncoding, acceptCompression.join(","));
  const compression = compressions.find(({ name }) => name === sendCompression);
  if (compression !== undefined && protocol.enveloped) headers.push(protocol.headers.encoding, compression.name);
  const codecOptions = { json: createJsonOptions(options.types), decodeFailure: Code.Internal };
  return {
    desc,
    protocol,
    options,
    path: `${pathPrefix}/${desc.parent.typeName}/${desc.name}`,
    headers,
    input: createCodec(codec, desc.input, codecOptions),
    output: createCodec(codec, desc.output, codecOptions),
    compression,
    get: options.useHttpGet && options.protocol === "connect" && safe,
  };
}

const protocols = { grpc, "grpc-web": grpcWeb } as const;

function protocolFor(desc: DescMethod, name: ProtocolName): ClientProtocol {
  if (name !== "connect") return protocols[name];
  return desc.methodKind === "unary" ? connectUnary : connectStream;
}
