/** Where messages of one kind of thing stand. */
export interface Place {
  /** The stream that keeps it. */
  readonly stream: string;
  /** What is published to. */
  readonly subject: string;
  /** Where the stream's leader tells of what it has stored there. */
  readonly told: string;
}

/**
 * The streams that share the logs. A stream is one Raft group, which writes one message after the other: on three servers that sync
 * each write, four of them take twice the messages of one, and eight no more. Part of the format: another number finds no log again.
 */
export const logStreams = 4;

/** How a store's streams and subjects are called. */
export interface Layout {
  readonly leases: string;
  readonly clock: Place;
  logStream(shard: number): string;
  /** What a log stream takes, and what its leader tells: all subjects below. */
  logSubjects(shard: number): { subject: string; told: string };
  readonly leaseSubjects: { readonly subject: string; readonly told: string };
  log(name: string): Place;
  lease(key: string): Place;
  /** The log's name or the lease's key in a subject of a stream. */
  nameOf(subject: string): string;
  /** Of one stream, the subjects of all logs whose names begin with the prefix, and of some more. */
  logFilter(shard: number, prefix: string): string;
}

export function createLayout(prefix: string): Layout {
  const told = `${prefix}.told`;
  const logRoot = (shard: number) => `log.${shard}`;
  const leases = `${prefix}-leases`;
  const logStream = (shard: number) => `${prefix}-logs-${shard}`;
  const place = (stream: string, path: string): Place => ({ stream, subject: `${prefix}.${path}`, told: `${told}.${path}` });
  const depth = prefix.length + 1;
  return {
    leases,
    clock: place(leases, "lease.clock"),
    logStream,
    logSubjects: (shard) => ({ subject: `${prefix}.${logRoot(shard)}.>`, told: `${told}.${logRoot(shard)}.>` }),
    leaseSubjects: { subject: `${prefix}.lease.>`, told: `${told}.lease.>` },
    log(name) {
      const shard = shardOf(name);
      return place(logStream(shard), `${logRoot(shard)}.${encodeName(name)}`);
    },
    lease: (key) => place(leases, `lease.key.${encodeName(key)}`),
    nameOf(subject) {
      const path = subject.slice(depth); // log.N.… or lease.key.…
      return decodeName(path.slice(path.indexOf(".", path.indexOf(".") + 1) + 1));
    },
    logFilter(shard, prefix_) {
      const whole = prefix_.slice(0, prefix_.lastIndexOf("/") + 1); // "a/b/c" → "a/b/", below which a subject divides
      const tokens = whole === "" ? "" : `${encodeName(whole.slice(0, -1))}.`;
      return `${prefix}.${logRoot(shard)}.${tokens}>`;
    },
  };
}

/** A name as tokens of a subject: `/` divides, an empty part is `=`, and what is no letter, digit, `-` or `_` is `=` and two hex digits. */
export function encodeName(name: string): string {
  return name.split("/").map(encodePart).join(".");
}

export function decodeName(tokens: string): string {
  return tokens.split(".").map(decodePart).join("/");
}

function encodePart(part: string): string {
  if (part === "") return "=";
  return part.replace(/[^A-Za-z0-9_-]/g, (char) => `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

function decodePart(token: string): string {
  if (token === "=") return "";
  return token.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** FNV-1a over the characters. */
function shardOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % logStreams;
}
