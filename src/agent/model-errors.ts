import { ConnectError } from "@connectrpc/connect";
import { internal, modelBounds, resourceExhausted, unavailable } from "../core/index.ts";

/** What the AI SDK and fetch say of a request that failed, of which nothing but the status may reach the peer. */
interface ProviderError {
  readonly name?: unknown;
  readonly statusCode?: unknown;
  readonly responseHeaders?: Record<string, string>;
  readonly lastError?: unknown;
  readonly cause?: unknown;
}

/** Answers that are not as the provider's protocol wants them. */
const malformed: ReadonlySet<unknown> = new Set([
  "AI_InvalidResponseDataError",
  "AI_JSONParseError",
  "AI_TypeValidationError",
  "AI_EmptyResponseBodyError",
]);

/**
 * What a failure of a model is to the agent's caller: 429 is RESOURCE_EXHAUSTED with a RetryInfo of what `retry-after` says; 408, 409, 5xx, answers that
 * break off, and connections that fail are UNAVAILABLE; any other status is INTERNAL, for the request is the agent's and no caller can mend it.
 */
export function modelError(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const options = { cause: thrown };
  const error: ProviderError = typeof thrown === "object" && thrown !== null ? thrown : {};
  const { name, lastError, statusCode, responseHeaders = {} } = error;
  if (name === "AI_RetryError" && lastError !== undefined) return modelError(lastError);
  if (malformed.has(name)) return unavailable("the model's answer broke off, or is none", modelBounds.retryMs, options);
  if (name === "AI_APICallError" && typeof statusCode === "number" && statusCode >= 300)
    return statusError(statusCode, retryMsOf(responseHeaders), options);
  if (error.cause instanceof ConnectError) return error.cause; // of the fetch that bounds what arrives
  if (name === "AI_APICallError" && statusCode !== undefined)
    return unavailable("the connection to the model broke", modelBounds.retryMs, options);
  if (name === "AI_APICallError" || (name === "TypeError" && error.cause !== undefined))
    // the AI SDK's and fetch's own for a request that did not arrive
    return unavailable("the model cannot be reached", modelBounds.retryMs, options);
  return internal("the model failed in an unforeseen way", options);
}

function statusError(statusCode: number, retryMs: number, options: { readonly cause: unknown }): ConnectError {
  if (statusCode === 429) {
    const description = "the model's provider takes no more requests for now (429)";
    return resourceExhausted({ subject: "model requests", description, retryMs });
  }
  if (statusCode === 408 || statusCode === 409 || statusCode >= 500)
    return unavailable(`the model's provider failed (${statusCode})`, retryMs, options);
  if (statusCode === 401 || statusCode === 403)
    return internal(`the model's provider refuses the agent's key (${statusCode})`, options);
  return internal(`the model's provider refuses the agent's request (${statusCode})`, options);
}

/** RFC 9110, section 10.2.3: seconds or a date; OpenAI and Azure add milliseconds. */
function retryMsOf(headers: Record<string, string>): number {
  const ms = Number(headers["retry-after-ms"] ?? Number.NaN);
  if (ms >= 0) return Math.round(ms);
  const value = headers["retry-after"] ?? "";
  const delay = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return delay >= 0 ? Math.round(delay) : modelBounds.retryMs;
}
