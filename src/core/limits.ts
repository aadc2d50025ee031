/**
 * Every bound of a server, in one table. Each can be overridden with `serve({ limits })`.
 *
 * Units are last in the name. Defaults follow gRPC's and Envoy's edge practice; each line says why it is there.
 */
export const defaultLimits = {
  /** One message that arrives, on the wire and again after decompression. gRPC's own default. */
  maxMessageBytes: 4 * 1024 * 1024,
  /** All headers of a request together (RFC 9113, section 6.5.2). */
  maxHeaderBytes: 16 * 1024,
  /** Header lines of a request. */
  maxHeaderPairs: 100,

  /** Open connections; one more is closed at once. */
  maxConnections: 10_000,
  /** Open connections of one address; 0 is no bound, the default, because balancers share one address. */
  maxConnectionsPerAddress: 0,
  /** Calls at once on one HTTP/2 connection. Agents keep long streams open; set 100 at an untrusted edge. */
  maxConcurrentStreams: 1_000,
  /** Stream resets that a connection may send in a burst (CVE-2023-44487); cancels and hedging count against it. */
  streamResetBurst: 2_000,
  /** Stream resets a second that a connection may go on with after the burst. */
  streamResetsPerSecond: 200,
  /** Memory that one HTTP/2 connection may hold, in MiB: large but finite. */
  maxSessionMemoryMib: 128,
  /** Flow-control window of one stream: a message of this size arrives without a round trip. */
  streamWindowBytes: 1024 * 1024,
  /** Flow-control window of one HTTP/2 connection, shared by its streams. */
  connectionWindowBytes: 16 * 1024 * 1024,

  /** From accepted connection to the HTTP/2 preface, the TLS handshake or the first request's headers. */
  headersTimeoutMs: 10_000,
  /** From headers, or the request gate's consent, to the end of the one request message of a unary or server-streaming call. */
  unaryBodyTimeoutMs: 30_000,
  /** Idle HTTP/1.1 connections are closed after this. */
  keepAliveTimeoutMs: 72_000,
  /** A task's deadline; a caller that asks for more, or for none, gets this. */
  maxDeadlineMs: 60 * 60 * 1000,
  /** How long a task whose last caller's connection broke waits for one to come back, unless it is detached. */
  abandonAfterMs: 60_000,
  /** How long a drain waits for calls in flight. */
  drainGraceMs: 30_000,

  /** Tasks that run at once. */
  maxRunningTasks: 10_000,
  /** Events of one task. */
  maxTaskEvents: 100_000,
  /** Bytes of one task's events. */
  maxTaskBytes: 16 * 1024 * 1024,
  /** Ended tasks that GetTask and repeated calls still find. */
  maxEndedTasks: 10_000,
  /** Bytes of all ended tasks together. */
  maxEndedTasksBytes: 256 * 1024 * 1024,
  /** How long an ended task is kept. */
  endedTaskTtlMs: 15 * 60 * 1000,
  /** How long a task, and a conversation, is kept in a store after its last event. */
  keptTaskTtlMs: 7 * 24 * 60 * 60 * 1000,
  /** Tasks that are kept in a store; over it the oldest are forgotten within two walks through them, ten minutes apart. */
  maxKeptTasks: 1_000_000,
  /** Agents that call each other within one task, over all servers: a circle of agents ends here. */
  maxCallDepth: 8,

  /** Conversations kept, the least recently used leaving first. */
  maxConversations: 10_000,
  /** Bytes of all conversations together. */
  maxConversationsBytes: 256 * 1024 * 1024,
  /** Turns that one conversation remembers, the oldest leaving first. */
  maxTurns: 100,
  /** Bytes of one conversation's turns, the oldest leaving first. */
  maxConversationBytes: 1024 * 1024,
  /** How long a conversation without a new turn is kept. */
  conversationTtlMs: 60 * 60 * 1000,
  /** Turns that wait in one Converse stream. */
  maxQueuedTurns: 16,

  /** Entries that a thread of shared memory keeps: whoever appends first holds the ids of all. */
  maxThreadEntries: 100_000,
  /** Text that the search of shared memory has in its index, in bytes; what was taken in first leaves first. It costs three times its size. */
  maxSearchIndexBytes: 64 * 1024 * 1024,

  /** Characters of task_id, agent_id, conversation_id and call_id. */
  maxIdChars: 128,
  /** Entries of a request's metadata. */
  maxMetadataEntries: 64,
  /** Characters of a metadata key. */
  maxMetadataKeyChars: 128,
  /** Characters of a metadata value. */
  maxMetadataValueChars: 4_096,
  /** Tools that a request offers, and tool results that it carries. */
  maxTools: 128,
};

/** Bounds of the wire, on both sides, that are nobody's to choose. */
export const wireBounds = {
  /** Bytes of received messages that wait for their reader before the peer is asked to pause. */
  maxQueuedBytes: 256 * 1024,
  /** Counted for each of them beside its bytes, so that a flood of empty ones is bounded too. */
  envelopeOverheadBytes: 64,
  /** Bytes of messages that are written at once instead of at the end of the tick. */
  maxBatchBytes: 64 * 1024,
  /** A message under this is not worth compressing; the default of both sides. */
  compressMinBytes: 1_024,
  /** What an envelope's length can say. */
  maxEnvelopeBytes: 0xffff_ffff,
  /** Content types and lists of encodings that are remembered; peers that make up new ones must not fill the memory. */
  maxCachedHeaders: 256,
  /** How long a refusal waits for the rest of its request: some clients (curl over HTTP/2) hang on an answer that is whole before it. */
  refusalPatienceMs: 100,
  /** A client keeps what it sent, for sending it again, up to this and until an answer begins. */
  maxKeptBytes: 256 * 1024,
  /** Requests that never left are sent again, but not for ever. */
  maxAttempts: 5,
  /** A server may notice a deadline this much before its client does. */
  deadlineSlackMs: 20,

  /** Bytes that an HTTP/2 connection writes at once instead of at the end of the tick. */
  flushBytes: 64 * 1024,
  /** Unsent bytes of an HTTP/2 connection over which a server reads no more from it: a peer that does not read its answers waits. */
  maxUnsentBytes: 256 * 1024,
  /** Unsent frames, bodies aside, of an HTTP/2 connection whose peer does not read, until it is broken: only a client reads on so long. */
  maxUnreadFrameBytes: 4 * 1024 * 1024,
  /** A header block may be this many times longer on the wire than the fields that it may hold, before it costs the connection. */
  headerBlockFactor: 4,
  /** Reset streams of an HTTP/2 connection on which late frames are no error; the oldest are forgotten. */
  maxForgivenStreams: 1_000,
  /** Gaps in the numbers of a connection's streams that are remembered, for naming the error right. */
  maxStreamGaps: 100,
  /** Streams that a client opens before the server has said how many it takes (RFC 9113, section 6.5.2, recommends no fewer). */
  cautiousStreams: 100,
  /** Names of header fields that are known to be well-formed. */
  maxKnownNames: 1_000,
  /** Paths whose pseudo-header fields a client keeps for its encoder. */
  maxKnownPaths: 256,
  /** How long a peer has to answer the ping of a drain before it is taken to have seen the GOAWAY; far longer than a round trip. */
  drainPingMs: 500,
  /** How long before its certificate ends a caller is told to connect anew, at most: it should have the next one by then. */
  certificateEndMs: 60_000,
  /** How long a peer may take to close its side of a connection, once we have closed ours. */
  closePatienceMs: 1_000,
} as const;

/** Bounds of what travels down the call tree; a header like any other, it counts against those of headers too. */
export const envelopeBounds = {
  /** Characters of the header that carries it. */
  maxHeaderChars: 8 * 1024,
  /** Agents above a call. */
  maxHops: 64,
  /** Characters of a traceparent; one of today's version has 55. */
  maxTraceparentChars: 128,
  /** Characters of a tracestate: what must be handed on (W3C Trace Context, section 3.3.1.5). */
  maxTracestateChars: 512,
} as const;

/** Bounds of who callers are and what they may, that are nobody's to choose. */
export const identityBounds = {
  /** A bearer token; those of identity providers have one or two KiB. */
  maxTokenBytes: 8 * 1024,
  /** The subject of a token, which names its caller. */
  maxSubjectChars: 256,
  /** A set of keys (RFC 7517), from a file or a URL. */
  maxKeySetBytes: 256 * 1024,
  /** How long a key server has for its whole answer. */
  keySetTimeoutMs: 5_000,
  /** Keys of a URL are asked for again after this, so that one that was taken back is no longer trusted. */
  keySetMaxAgeMs: 10 * 60 * 1000,
  /** A URL is asked no more often, whatever keys the tokens name: they are the callers' to make up. */
  keySetCooldownMs: 30_000,
  /** The same for a file, which costs less. */
  keyFileMaxAgeMs: 10_000,
  keyFileCooldownMs: 1_000,
  /** While they cannot be had anew, keys are trusted no longer than this. */
  keySetStaleMs: 24 * 60 * 60 * 1000,
  /** A certificate, key or policy file. */
  maxFileBytes: 1024 * 1024,
  /** Files that change are read when they have been left alone this long: certificate and key are two. */
  fileQuietMs: 100,
  /** … or after this, in a folder that is never left alone. */
  fileRestlessMs: 1_000,
  /** Files are looked at this often where the file system tells of no changes. */
  filePollMs: 10_000,
} as const;

/** Bounds of the registry, on both sides. */
export const registryBounds = {
  /** The shortest lease on a registration: less could not be renewed in time over a network. */
  minTtlMs: 1_000,
  /** The longest one: who dies is found for no longer than this. */
  maxTtlMs: 5 * 60 * 1000,
  /** The lease of who does not choose: 10,000 registrations are 1,000 renewals a second. */
  ttlMs: 30_000,
  /** Endpoints of one registration. */
  maxEndpoints: 16,
  /** Characters of an endpoint's URL. */
  maxUrlChars: 512,
  /** Characters of a SPIFFE ID (SPIFFE-ID, section 2.3). */
  maxIdentityChars: 2_048,
  /** Capabilities of one agent. */
  maxCapabilities: 64,
  /** Characters of an agent's description. */
  maxDescriptionChars: 4_096,
  /** Characters of a version or of a range of versions. */
  maxVersionChars: 128,
  /** The most that an endpoint's weight can be. */
  maxWeight: 1_000,
  /** A contract's descriptor set. Our own is a fiftieth of it. */
  maxContractBytes: 1024 * 1024,
  /** Contracts that a registry keeps; those that nobody serves leave first. */
  maxContracts: 1_000,
  /** Contracts that one Discover gives, together; the rest can be asked for on its own. */
  maxDiscoveredContractBytes: 2 * 1024 * 1024,
  /** Agents that one Discover gives. */
  maxDiscovered: 1_000,
  /** Agents that one Discover gives when nothing is said. */
  discovered: 100,
  /** How often a watcher is told of one registration's load alone. */
  loadPeriodMs: 1_000,
  /** How finely those periods are told apart. */
  loadStepMs: 50,
  /** What a watcher is told before others have a turn: ten thousand registrations take a tenth of a second to write. */
  maxToldAtOnce: 100,
  /** Queries that one source keeps up to date; those not asked for the longest leave first. */
  maxQueries: 256,
  /** Endpoints that a source keeps of one query. */
  maxKnown: 10_000,
  /** A source asks a registry that is away at least this often: until then nobody calls the agents that have come since. */
  maxAwayMs: 5_000,
  /** How long one call to a registry may take. */
  callTimeoutMs: 5_000,
} as const;

/** Bounds of a client that balances over several endpoints. */
export const reachBounds = {
  /** Targets (capabilities, agents) that one client keeps connections to; those not called for the longest leave first. */
  maxTargets: 256,
  /** Endpoints of one target that a client is connected to; more of them are left to other clients. */
  maxEndpoints: 100,
  /** Connections to one endpoint, when its streams run out. */
  maxConnectionsPerEndpoint: 8,
  /** Calls that wait for an endpoint; one more is RESOURCE_EXHAUSTED. */
  maxWaitingCalls: 10_000,
  /** Bytes of one call's request that wait with it; its writer waits for room beyond. */
  maxWaitingBytes: 256 * 1024,
  /** Attempts of one call, hedges included (gRFC A6). */
  maxAttempts: 5,
} as const;

/** The bounds of a server; see {@link defaultLimits}. */
export type Limits = { readonly [Name in keyof typeof defaultLimits]: number };

/**
 * Completes a partial table with the defaults.
 *
 * @throws RangeError when a bound has no default of that name, or is not a whole number of 0 or more.
 */
export function resolveLimits(overrides: Partial<Limits> = {}): Limits {
  for (const [name, value] of Object.entries(overrides)) {
    if (!Object.hasOwn(defaultLimits, name)) {
      throw new RangeError(`there is no limit "${name}"; the limits are ${Object.keys(defaultLimits).join(", ")}`);
    }
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`limit "${name}" is ${value}; it must be a whole number of 0 or more`);
    }
  }
  return { ...defaultLimits, ...overrides };
}
