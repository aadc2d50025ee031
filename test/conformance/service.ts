import { setTimeout as delay } from "node:timers/promises";
import { create, createRegistry, type MessageInitShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type BidiStreamRequest,
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  type ConformanceService,
  type Error as ErrorDefinition,
  type Header,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";

/** The types that travel as `Any`. */
export const conformanceTypes = createRegistry(
  UnaryRequestSchema,
  ServerStreamRequestSchema,
  ClientStreamRequestSchema,
  BidiStreamRequestSchema,
  IdempotentUnaryRequestSchema,
  ConformancePayload_RequestInfoSchema,
);

type Payload = { payload: { data: Uint8Array; requestInfo?: ConformancePayload_RequestInfo } };

/** The service that the conformance runner calls; its requests say what it answers. */
export const conformance: Partial<ServiceImpl<typeof ConformanceService>> = {
  unary: (request, context) => answerUnary(request.responseDefinition, [anyPack(UnaryRequestSchema, request)], context),
  idempotentUnary: (request, context) =>
    answerUnary(request.responseDefinition, [anyPack(IdempotentUnaryRequestSchema, request)], context),
  async clientStream(requests, context) {
    const seen: Any[] = [];
    let definition: UnaryResponseDefinition | undefined;
    for await (const request of requests) {
      if (seen.length === 0) definition = request.responseDefinition;
      seen.push(anyPack(ClientStreamRequestSchema, request));
    }
    return answerUnary(definition, seen, context);
  },
  serverStream: (request, context) =>
    answerStream(request.responseDefinition, [anyPack(ServerStreamRequestSchema, request)], context),
  bidiStream: answerBidi,
};

async function answerUnary(
  definition: UnaryResponseDefinition | undefined,
  requests: Any[],
  context: HandlerContext,
): Promise<Payload> {
  const requestInfo = infoOf(requests, context);
  const data = new Uint8Array(0);
  if (definition === undefined) return { payload: { data, requestInfo } };
  setHeaders(context, definition);
  if (definition.responseDelayMs > 0) await delay(definition.responseDelayMs, undefined, { signal: context.signal });
  if (definition.response.case === "error") throw errorOf(definition.response.value, requestInfo);
  return { payload: { data: definition.response.case === "responseData" ? definition.response.value : data, requestInfo } };
}

async function* answerStream(definition: StreamResponseDefinition | undefined, requests: Any[], context: HandlerContext) {
  if (definition === undefined) return;
  setHeaders(context, definition);
  let requestInfo: ConformancePayload_RequestInfo | undefined = infoOf(requests, context);
  for (const data of definition.responseData) {
    if (definition.responseDelayMs > 0) await delay(definition.responseDelayMs, undefined, { signal: context.signal });
    yield payloadOf(data, requestInfo);
    requestInfo = undefined;
  }
  if (definition.error !== undefined) throw errorOf(definition.error, requestInfo);
}

async function* answerBidi(requests: AsyncIterable<BidiStreamRequest>, context: HandlerContext) {
  let seen: Any[] = [];
  let definition: StreamResponseDefinition | undefined;
  let fullDuplex = false;
  let sent = 0;
  let first = true;
  for await (const request of requests) {
    if (first) {
      first = false;
      definition = request.responseDefinition;
      fullDuplex = request.fullDuplex;
      if (definition !== undefined) setHeaders(context, definition);
    }
    seen.push(anyPack(BidiStreamRequestSchema, request));
    const data = definition?.responseData[sent];
    if (!fullDuplex) continue;
    if (data === undefined) break;
    if (definition !== undefined && definition.responseDelayMs > 0) {
      await delay(definition.responseDelayMs, undefined, { signal: context.signal });
    }
    yield payloadOf(
      data,
      sent === 0 ? infoOf(seen, context) : create(ConformancePayload_RequestInfoSchema, { requests: seen }),
    );
    seen = [];
    sent++;
  }
  if (definition === undefined) return;
  for (; sent < definition.responseData.length; sent++) {
    const data = definition.responseData[sent] ?? new Uint8Array(0);
    if (definition.responseDelayMs > 0) await delay(definition.responseDelayMs, undefined, { signal: context.signal });
    yield payloadOf(data, sent === 0 ? infoOf(seen, context) : undefined);
  }
  if (definition.error !== undefined) throw errorOf(definition.error, sent === 0 ? infoOf(seen, context) : undefined);
}

function payloadOf(data: Uint8Array, requestInfo: ConformancePayload_RequestInfo | undefined): Payload {
  return { payload: requestInfo === undefined ? { data } : { data, requestInfo } };
}

function infoOf(requests: Any[], context: HandlerContext): ConformancePayload_RequestInfo {
  const info: MessageInitShape<typeof ConformancePayload_RequestInfoSchema> = {
    requestHeaders: [...context.requestHeader].map(([name, value]) => ({ name, value: [value] })),
    requests,
  };
  const timeoutMs = context.timeoutMs();
  if (timeoutMs !== undefined) info.timeoutMs = BigInt(Math.round(timeoutMs));
  if (context.requestMethod === "GET") {
    const queryParams = [...new URL(context.url).searchParams].map(([name, value]) => ({ name, value: [value] }));
    info.connectGetInfo = { queryParams };
  }
  return create(ConformancePayload_RequestInfoSchema, info);
}

function setHeaders(context: HandlerContext, definition: { responseHeaders: Header[]; responseTrailers: Header[] }): void {
  append(context.responseHeader, definition.responseHeaders);
  append(context.responseTrailer, definition.responseTrailers);
}

function append(target: Headers, headers: readonly Header[]): void {
  for (const { name, value } of headers) for (const each of value) target.append(name, each);
}

function errorOf(definition: ErrorDefinition, requestInfo: ConformancePayload_RequestInfo | undefined): ConnectError {
  const code = definition.code as number as Code; // the two enums have the same numbers
  const error = new ConnectError(definition.message ?? "", code);
  error.details = definition.details.map((packed) => ({
    type: packed.typeUrl.slice(packed.typeUrl.lastIndexOf("/") + 1),
    value: packed.value,
  }));
  if (requestInfo !== undefined) error.details.push({ desc: ConformancePayload_RequestInfoSchema, value: requestInfo });
  return error;
}
