import { type StaticName, staticNames } from "./hpack-static.ts";

/**
 * When the values of a name enter the dynamic table: `at once`, for they rarely change; `repeated`, when a value comes the second time
 * in a row; `never`, for every value is new; `secret`, never, and nobody on the way may do so either (RFC 7541, section 7.1.3).
 */
type Indexing = "at once" | "repeated" | "never" | "secret";

const indexings = new Map<string, Indexing>([
  ...named("at once", [
    ":authority",
    ":method",
    ":path",
    ":scheme",
    ":status",
    "accept",
    "accept-encoding",
    "connect-accept-encoding",
    "connect-content-encoding",
    "connect-protocol-version",
    "content-encoding",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-status",
    "server",
    "te",
    "trailer",
    "user-agent",
    "vary",
    "x-grpc-web",
    "x-user-agent",
  ]),
  ...named("never", [
    "connect-timeout-ms",
    "content-length",
    "date",
    "grpc-message",
    "grpc-status-details-bin",
    "grpc-timeout",
    "traceparent",
  ]),
  ...named("secret", ["authorization", "cookie", "proxy-authorization", "set-cookie"]),
]);

function named(indexing: Indexing, names: readonly string[]): [string, Indexing][] {
  return names.map((name) => [name, indexing]);
}

/** What an encoder remembers of a name. */
export interface NameRecord {
  readonly name: string;
  readonly indexing: Indexing;
  /** Where the static table has it. */
  readonly fixed: StaticName | undefined;
  /** The dynamic table's entries of this name: by value, the ordinal of the entry. */
  readonly ordinals: Map<string, number>;
  /** Ordinal of the entry that came last, whether it is still there or not. */
  newest: number;
  /** The value that was sent last without an index. */
  sent: string | undefined;
  /** The value last found to be a valid one. */
  checked: string | undefined;
}

/** RFC 9110, section 5.6.2, in lower case as RFC 9113, section 8.2.1, wants it; pseudo-header fields begin with a colon. */
const validName = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Most names that are remembered; beyond it the one known longest is forgotten. */
const maxRecords = 256;

/** The names that an encoder has met. */
export class NameRecords {
  readonly #records = new Map<string, NameRecord>();

  /** @throws TypeError for what is no name of a field. */
  get(name: string): NameRecord {
    return this.#records.get(name) ?? this.#create(name);
  }

  #create(name: string): NameRecord {
    if (!validName.test(name)) {
      throw new TypeError(`${JSON.stringify(name.slice(0, 64))} is no name of an HTTP/2 header field`);
    }
    if (this.#records.size >= maxRecords) {
      // Its entries stay in the table until they are evicted; only their indexes are not known any more.
      for (const longest of this.#records.keys()) {
        this.#records.delete(longest);
        break;
      }
    }
    const record: NameRecord = {
      name,
      indexing: indexings.get(name) ?? "repeated",
      fixed: staticNames.get(name),
      ordinals: new Map(),
      newest: -1,
      sent: undefined,
      checked: undefined,
    };
    this.#records.set(name, record);
    return record;
  }
}
