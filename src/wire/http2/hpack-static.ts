/** A header field: name and value, one character a byte. */
export interface HpackField {
  readonly name: string;
  readonly value: string;
}

/** RFC 7541, appendix A, in order; the first has the index 1. */
const fields = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
] as const;

/** Entry `index - 1` is the field that the index stands for. */
export const staticFields: readonly HpackField[] = fields.map(([name, value]) => ({ name, value }));

/** Indexes from here on stand for entries of the dynamic table, the newest first (RFC 7541, section 2.3.3). */
export const firstDynamicIndex = staticFields.length + 1;

/** Names that gRPC, gRPC-Web, Connect and their tools send besides the static ones. */
const protocolNames = [
  "access-control-request-headers",
  "access-control-request-method",
  "connect-accept-encoding",
  "connect-content-encoding",
  "connect-protocol-version",
  "connect-timeout-ms",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-previous-rpc-attempts",
  "grpc-retry-pushback-ms",
  "grpc-status",
  "grpc-status-details-bin",
  "grpc-timeout",
  "idempotency-key",
  "origin",
  "priority",
  "te",
  "traceparent",
  "tracestate",
  "trailer",
  "x-forwarded-for",
  "x-grpc-web",
  "x-request-id",
  "x-user-agent",
];

const knownNames = new Map([...staticFields.map(({ name }) => name), ...protocolNames].map((name) => [name, name]));

/** The one string of a known name, so that comparing it with a literal of the source compares two pointers. */
export function internName(name: string): string {
  return knownNames.get(name) ?? name;
}

/** Where a name stands in the static table. */
export interface StaticName {
  /** Index of its first entry. */
  readonly index: number;
  /** Index by value; names without values of their own have none. */
  readonly values: ReadonlyMap<string, number> | undefined;
}

/** The static table by name. */
export const staticNames: ReadonlyMap<string, StaticName> = createStaticNames();

function createStaticNames(): Map<string, StaticName> {
  const names = new Map<string, { index: number; values: Map<string, number> | undefined }>();
  staticFields.forEach(({ name, value }, position) => {
    const index = position + 1;
    const entry = names.get(name) ?? { index, values: undefined };
    names.set(name, entry);
    if (value === "") return;
    entry.values ??= new Map();
    entry.values.set(value, index);
  });
  return names;
}
