import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import {
  Code,
  type ConnectError,
  type ContextValues,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { type Codec, type CodecName, type CodecOptions, createCodec } from "../codec.ts";
import type { ServerExchange } from "../exchange.ts";
import type { Awaiting, RequestWatch } from "./request-watch.ts";

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
}

/** Runs before a request's body is read. What it throws is the call's answer. */
export type RequestGate = (context: HandlerContext) => void | Promise<void>;

/** A call, as those who watch over all of them see it. */
export interface ServedCall extends Awaiting {
  readonly startMs: number;
  readonly exchange: ServerExchange;
  readonly method: ServerMethod;
  /** Ends the call with an error of the server's own. */
  abort(reason: ConnectError): void;
}

/** What all calls of a handler share. */
export interface CallHooks {
  /** Ends calls whose one request message does not come. */
  readonly watch: RequestWatch;
  /** What interceptors and implementations may read of a request beside its headers. */
  readonly values: ((exchange: ServerExchange) => ContextValues) | undefined;
  onStart(call: ServedCall): void;
  /** Called once for each call, when it is over; `error` is what the caller got, or CANCELLED when it left. */
  onEnd(call: ServedCall, error: ConnectError | undefined): void;
}

/** A method that is served. */
export interface ServerMethod {
  readonly spec: MethodImplSpec;
  readonly desc: DescMethod;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly bounds: MethodBounds;
  readonly interceptors: readonly Interceptor[];
  readonly gate: RequestGate | undefined;
  readonly hooks: CallHooks;
  /** True when the request is one message. */
  readonly single: boolean;
  /** True when Connect may call it with GET. */
  readonly safe: boolean;
  readonly input: Readonly<Record<CodecName, Codec<DescMessage>>>;
  readonly output: Readonly<Record<CodecName, Codec<DescMessage>>>;
}

export type MethodInit = Pick<ServerMethod, "bounds" | "interceptors" | "gate" | "hooks"> & Omit<CodecOptions, "decodeFailure">;

export function createServerMethod(spec: MethodImplSpec, init: MethodInit): ServerMethod {
  const { bounds, interceptors, gate, hooks } = init;
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
    hooks,
    single: desc.methodKind === "unary" || desc.methodKind === "server_streaming",
    safe: desc.methodKind === "unary" && desc.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
    input: codecs(desc.input),
    output: codecs(desc.output),
  };
}
