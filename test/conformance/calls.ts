import { create, type DescMethodStreaming, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  type ClientCompatRequest,
  type ClientResponseResult,
  ClientResponseResultSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.js";
import type { Code } from "../../.cache/conformance/gen/connectrpc/conformance/v1/config_pb.js";
import {
  type ClientStreamRequest,
  type ConformancePayload,
  ConformancePayloadSchema,
  ConformanceService,
  ErrorSchema,
  type Header,
  HeaderSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";
import { type Call, cancelAfterResponses, cancelAroundCloseSend, createResponseCount, sendRequests } from "./requests.ts";

/**
 * Makes the call that `request` describes. An error of the call is part of its result. Throws when there is no such call to make, and
 * when it ends with anything but a `ConnectError`, which is what a transport promises.
 */
export async function makeCall(request: ClientCompatRequest, transport: Transport): Promise<ClientResponseResult> {
  const method = methodOf(request);
  const messages = request.requestMessages.map((packed) => {
    const message = anyUnpack(packed, method.input);
    if (message === undefined) throw new Error(`${packed.typeUrl} is not what ${method.name} takes`);
    return message;
  });
  const headers = new Headers();
  for (const { name, value } of request.requestHeaders) for (const each of value) headers.append(name, each);
  const result = create(ClientResponseResultSchema, { numUnsentRequests: messages.length });
  const call: Call = { request, messages, transport, headers, cancel: new AbortController(), result };
  try {
    if (method.methodKind === "unary") await callUnary(call, method);
    else if (method.methodKind === "client_streaming") await callClientStreaming(call);
    else await callStreaming(call, method);
  } catch (cause) {
    if (!(cause instanceof ConnectError)) throw cause;
    fail(result, cause);
  }
  return result;
}

function methodOf({ service, method: wanted }: ClientCompatRequest): DescMethodUnary | DescMethodStreaming {
  const method = ConformanceService.methods.find(({ name }) => name === wanted);
  if (method === undefined || service !== ConformanceService.typeName) throw new Error(`no method ${service}/${wanted}`);
  return method as DescMethodUnary | DescMethodStreaming; // the same descriptor, typed so that methodKind tells the kinds apart
}

async function callUnary(call: Call, method: DescMethodUnary): Promise<void> {
  const { request, messages, transport, headers, cancel, result } = call;
  const [message] = messages;
  if (message === undefined) throw new Error(`${method.name} takes one message`);
  cancelAroundCloseSend(call);
  result.numUnsentRequests = 0;
  const response = await transport.unary(method, cancel.signal, request.timeoutMs, headers, message);
  result.responseHeaders = toHeaders(response.header);
  result.responseTrailers = toHeaders(response.trailer);
  result.payloads.push(payloadOf(response.message));
}

/** Through Connect's client, which is where it is decided that there has to be one response and no more. */
async function callClientStreaming(call: Call): Promise<void> {
  const { request, transport, headers, cancel, result } = call;
  const messages = sendRequests(call, createResponseCount()) as AsyncIterable<ClientStreamRequest>; // unpacked as the method's input
  const message = await createClient(ConformanceService, transport).clientStream(messages, {
    headers,
    signal: cancel.signal,
    ...(request.timeoutMs !== undefined && { timeoutMs: request.timeoutMs }),
    onHeader: (header) => void result.responseHeaders.push(...toHeaders(header)),
    onTrailer: (trailer) => void result.responseTrailers.push(...toHeaders(trailer)),
  });
  result.payloads.push(payloadOf(message));
}

/** Requests go out while responses come in; `sendRequests` lets one wait for the other where the call says so. */
async function callStreaming(call: Call, method: DescMethodStreaming): Promise<void> {
  const { request, transport, headers, cancel, result } = call;
  const count = createResponseCount();
  try {
    const response = await transport.stream(method, cancel.signal, request.timeoutMs, headers, sendRequests(call, count));
    result.responseHeaders = toHeaders(response.header);
    try {
      for await (const message of response.message) {
        result.payloads.push(payloadOf(message));
        cancelAfterResponses(call);
        count.add();
      }
    } finally {
      result.responseTrailers = toHeaders(response.trailer);
    }
  } finally {
    count.end();
  }
}

/**
 * In an error's metadata nobody can tell headers from trailers; the suite takes all of it as trailers (testing_clients.md). What the
 * response itself has as a trailer stays as it is: the error may have it mixed with a header of the same name.
 */
function fail(result: ClientResponseResult, error: ConnectError): void {
  const code = error.code as number as Code; // the two enums have the same numbers
  const details = error.details.flatMap((detail) =>
    "type" in detail ? [create(AnySchema, { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value })] : [],
  );
  result.error = create(ErrorSchema, { code, message: error.rawMessage, details });
  const known = new Set(result.responseTrailers.map(({ name }) => name));
  result.responseTrailers.push(...toHeaders(error.metadata).filter(({ name }) => !known.has(name)));
}

function toHeaders(headers: Headers): Header[] {
  return [...headers].map(([name, value]) => create(HeaderSchema, { name, value: [value] }));
}

function payloadOf(message: Message & { payload?: ConformancePayload | undefined }): ConformancePayload {
  return message.payload ?? create(ConformancePayloadSchema);
}
