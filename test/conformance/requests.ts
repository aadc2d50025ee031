import { setTimeout as delay } from "node:timers/promises";
import type { Message } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import type {
  ClientCompatRequest,
  ClientResponseResult,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.js";
import { StreamType } from "../../.cache/conformance/gen/connectrpc/conformance/v1/config_pb.js";

/** One call: what to do, and what came of it so far. */
export interface Call {
  readonly request: ClientCompatRequest;
  /** The request's messages, unpacked. */
  readonly messages: readonly Message[];
  readonly transport: Transport;
  readonly headers: Headers;
  readonly cancel: AbortController;
  /** Filled as the call goes on: what came before a failure counts. */
  readonly result: ClientResponseResult;
}

/** The responses of a call so far, for a request to wait for. */
export interface ResponseCount {
  add(): void;
  /** No more responses will come. */
  end(): void;
  /** Resolves with true after that many responses, with false when they will not come. */
  reached(count: number): Promise<boolean>;
}

export function createResponseCount(): ResponseCount {
  let seen = 0;
  let ended = false;
  let wake = () => {};
  return {
    add() {
      seen++;
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async reached(count) {
      while (seen < count && !ended) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return seen >= count;
    },
  };
}

/** The requests of a streaming call in their time: in full duplex each one waits for the response to the one before it. */
export async function* sendRequests(call: Call, responses: ResponseCount): AsyncGenerator<Message> {
  const { request, messages, result } = call;
  const fullDuplex = request.streamType === StreamType.FULL_DUPLEX_BIDI_STREAM;
  let sent = 0;
  for (const message of messages) {
    if (request.requestDelayMs > 0) await delay(request.requestDelayMs);
    result.numUnsentRequests = messages.length - ++sent;
    yield message;
    if (fullDuplex && !(await responses.reached(sent))) return;
  }
  cancelAroundCloseSend(call);
}

/** To be called when all requests are sent: the stream's end follows, or for a unary call the request. */
export function cancelAroundCloseSend({ request, cancel }: Call): void {
  if (request.cancel === undefined) return;
  const timing = request.cancel.cancelTiming;
  if (timing.case === "beforeCloseSend") cancel.abort();
  else if (timing.case !== "afterNumResponses") setTimeout(() => cancel.abort(), timing.value ?? 0);
}

/** To be called after every response. */
export function cancelAfterResponses({ request, cancel, result }: Call): void {
  const timing = request.cancel?.cancelTiming;
  if (timing?.case === "afterNumResponses" && result.payloads.length === timing.value) cancel.abort();
}
