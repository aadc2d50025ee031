import { create } from "@bufbuild/protobuf";
import { decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { EnvelopeSchema } from "../../gen/agent/v1/envelope_pb.js";
import { invalidArgument, resourceExhausted } from "./errors.ts";
import { envelopeBounds } from "./limits.ts";

/** One agent in a chain of calls. */
export interface Hop {
  /** The agent, by name. */
  readonly agent: string;
  /** Who called it, as its server verified it. */
  readonly caller: string;
}

/** What a call and all below it may still use; what is not set has no bound. */
export interface Budget {
  /** Model tokens, read and written. */
  readonly tokens?: number | undefined;
  /** Calls to other agents. */
  readonly calls?: number | undefined;
}

/** W3C trace context, as it came. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

/**
 * What travels down the call tree beside deadline and cancellation. It only shrinks: nobody gives on more than it was given.
 */
export interface Envelope extends Budget {
  /** The agents above, the outermost first. */
  readonly hops: readonly Hop[];
  /** How many agents deep the tree may become, the first one counted. Not set: what each server allows. */
  readonly maxDepth?: number | undefined;
  readonly trace?: TraceContext | undefined;
}

/** The envelope of a call that nobody's task made. */
export const rootEnvelope: Envelope = Object.freeze({ hops: Object.freeze([]) });

/** The request header that carries it, as binary metadata of gRPC. */
export const envelopeHeader = "convoke-envelope-bin";

const none: readonly Hop[] = [];

/** Request headers as they are looked up, by name in lower case. */
export type HeaderLookup = (name: string) => string | undefined;

/**
 * The envelope that a request brings. A trace context that is malformed is left out, as W3C asks.
 *
 * @throws ConnectError INVALID_ARGUMENT when the header is no envelope.
 */
export function readEnvelope(header: HeaderLookup): Envelope {
  const encoded = header(envelopeHeader);
  const traceparent = header("traceparent");
  if (encoded === undefined && traceparent === undefined) return rootEnvelope;
  const trace = traceparent === undefined ? undefined : readTrace(traceparent, header("tracestate"));
  return { ...(encoded === undefined ? rootEnvelope : decode(encoded)), trace };
}

function decode(encoded: string): Envelope {
  const { maxHeaderChars, maxHops } = envelopeBounds;
  if (encoded.length > maxHeaderChars) throw malformed(`has ${encoded.length} characters; ${maxHeaderChars} is the most`);
  let message: ReturnType<typeof decodeBinaryHeader<typeof EnvelopeSchema>>;
  try {
    message = decodeBinaryHeader(encoded, EnvelopeSchema);
  } catch (cause) {
    throw malformed("is no agent.v1.Envelope in base64", cause);
  }
  const { hops, tokens, calls, maxDepth } = message;
  if (hops.length > maxHops) throw malformed(`has ${hops.length} hops; ${maxHops} is the most`);
  return { hops: hops.length === 0 ? none : hops.map(({ agent, caller }) => ({ agent, caller })), tokens, calls, maxDepth };
}

/**
 * The headers that hand an envelope on.
 *
 * @throws ConnectError RESOURCE_EXHAUSTED when the names of those above are too long for a header.
 */
export function envelopeHeaders({ hops, tokens, calls, maxDepth, trace }: Envelope): Record<string, string> {
  const message = create(EnvelopeSchema, { hops: hops.map(({ agent, caller }) => ({ agent, caller })) });
  if (tokens !== undefined) message.tokens = tokens;
  if (calls !== undefined) message.calls = calls;
  if (maxDepth !== undefined) message.maxDepth = maxDepth;
  const encoded = encodeBinaryHeader(message, EnvelopeSchema);
  if (encoded.length > envelopeBounds.maxHeaderChars) {
    const description = `the names of the ${hops.length} agents above, and of their callers, are too long to be handed on`;
    throw resourceExhausted({ subject: "callers", description });
  }
  return {
    [envelopeHeader]: encoded,
    ...(trace !== undefined && { traceparent: trace.traceparent }),
    ...(trace?.tracestate !== undefined && { tracestate: trace.tracestate }),
  };
}

/** W3C Trace Context, section 3.2: ids of zeros alone are none, and later versions may go on after the flags. */
const ids = "(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}";
const traceparentPattern = new RegExp(`^(?:00-${ids}|(?!00|ff)[0-9a-f]{2}-${ids}(?:-[\\x21-\\x7e]*)?)$`);

/** The trace, handed on as it came: who records no spans of its own must not come between those who do. */
function readTrace(traceparent: string, tracestate: string | undefined): TraceContext | undefined {
  const { maxTraceparentChars, maxTracestateChars } = envelopeBounds;
  if (traceparent.length > maxTraceparentChars || !traceparentPattern.test(traceparent)) return undefined;
  if (tracestate === undefined || tracestate.length > maxTracestateChars) return { traceparent };
  return { traceparent, tracestate };
}

/** The trace's id, for logs. */
export function traceIdOf({ traceparent }: TraceContext): string {
  return traceparent.slice(3, 35);
}

function malformed(description: string, cause?: unknown) {
  return invalidArgument([{ field: envelopeHeader, description }], { cause });
}
