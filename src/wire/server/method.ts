import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, type HandlerContext, type Interceptor, type MethodImplSpec } from "@connectrpc/connect";
import { type Codec, type CodecName, type CodecOptions, createCodec } from "../codec.ts";

/** What bounds a method's calls. */
export interface MethodBounds {
  /** Of one message that arrives, on the wire and after decompression. */
  readonly readMaxBytes: number;
  /** Of one message that is sent, before compression. */
  readonly writeMaxBytes: number;
  /** The shortest message that is compressed for a caller that takes it. */
  readonly compressMinBytes: number;
  /** The longest timeout that a caller may ask for; more is INVALID_ARGUMENT. */
  readonly maxTimeoutMs: number;
  /** From headers to the end of the one request message, where there is just one. */
  readonly unaryBodyTimeoutMs: number;
}

/** Runs before a request's body is read. What it throws is the call's answer. */
export type RequestGate = (context: HandlerContext) => void | Promise<void>;

/** A method that is served. */
export interface ServerMethod {
  readonly spec: MethodImplSpec;
  readonly desc: DescMethod;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly bounds: MethodBounds;
  readonly interceptors: readonly Interceptor[];
  readonly gate: RequestGate | undefined;
  /** True when Connect may call it with GET. */
  readonly safe: boolean;
  readonly input: Readonly<Record<CodecName, Codec<DescMessage>>>;
  readonly output: Readonly<Record<CodecName, Codec<DescMessage>>>;
}

export type MethodInit = Pick<ServerMethod, "bounds" | "interceptors" | "gate"> & Omit<CodecOptions, "decodeFailure">;

export function createServerMethod(spec: MethodImplSpec, init: MethodInit): ServerMethod {
  const { bounds, interceptors, gate } = init;
  const desc: DescMethod = spec.method;
  const options: CodecOptions = { json: init.json, binary: init.binary, decodeFailure: Code.InvalidArgument };
  const codecs = (message: DescMessage) => ({
    proto: createCodec("proto", message, options),
    json: createCodec("json", message, options),
  });
  return {
    spec,
    desc,
    path: `/${desc.parent.typeName}/${desc.name}`,
    bounds,
    interceptors,
    gate,
    safe: desc.methodKind === "unary" && desc.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
    input: codecs(desc.input),
    output: codecs(desc.output),
  };
}
