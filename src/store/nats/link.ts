import { setTimeout as delay } from "node:timers/promises";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { createInbox, headers, type Msg, type MsgHdrs, type NatsConnection, nuid, TimeoutError } from "@nats-io/transport-node";
import { createBackoff, natsBounds } from "../../core/index.ts";
import { isPassing, isWrongSequence, noAnswer, storeClosed, toStoreError } from "./failures.ts";
import type { Place } from "./subjects.ts";

/** A message that a stream has stored. */
export interface Stored {
  readonly subject: string;
  readonly seq: number;
  readonly headers: MsgHdrs;
  readonly data: Uint8Array;
  /** By the clock of the server that led the stream, in milliseconds since the epoch. */
  readonly timeMs: number;
}

/** A message to be stored. */
export interface Write {
  readonly place: Place;
  readonly data: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** The sequence of the subject's last message, 0 when there is none. Default: no matter. */
  readonly expectedSeq?: number;
  /** How long the server keeps it, in seconds. Default: for ever. */
  readonly ttlSeconds?: number;
}

/** One question, and until when it is asked again, by the clock of `performance.now`. */
export interface Attempt {
  /** What it is for, for the error. */
  readonly what: string;
  readonly untilMs: number;
}

/** Names a write, so that one whose acknowledgement was lost is found again. */
const idHeader = "Convoke-Id";
const empty = new Uint8Array();

/** What is asked of JetStream, again and again until it answers or the time is over. */
export class NatsLink {
  readonly manager: JetStreamManager;
  readonly #connection: NatsConnection;
  #info: NatsConnection["info"];
  readonly #returned = new Set<() => void>();
  #connected = true;
  #closed = false;

  constructor(connection: NatsConnection, manager: JetStreamManager) {
    this.#connection = connection;
    this.#info = connection.info;
    this.manager = manager;
    void this.#watch();
  }

  static async over(connection: NatsConnection): Promise<NatsLink> {
    const manager = await jetstreamManager(connection, { timeout: natsBounds.attemptMs, checkAPI: false });
    return new NatsLink(connection, manager);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What the server that is connected says of itself, or the last one that was: the client forgets it when the connection is lost. */
  get server(): { readonly version: string; readonly maxPayloadBytes: number; readonly hasJetStream: boolean } {
    this.#info = this.#connection.info ?? this.#info;
    const { version = "unknown", max_payload = 0, jetstream = false } = this.#info ?? {};
    return { version, maxPayloadBytes: max_payload, hasJetStream: jetstream };
  }

  /** Calls back when the connection has been lost and is there again: what was told meanwhile is lost. */
  onReturn(listener: () => void): void {
    this.#returned.add(listener);
  }

  /**
   * Asks until there is an answer.
   *
   * @throws ConnectError UNAVAILABLE when the time is over; what a lasting refusal means.
   */
  async attempt<T>({ what, untilMs }: Attempt, ask: () => Promise<T>): Promise<T> {
    const waits = createBackoff({ initialMs: 5, multiplier: 2, maxMs: 500 });
    for (let cause: unknown; ; ) {
      if (this.#closed) throw storeClosed();
      try {
        if (this.#connected) return await ask();
      } catch (thrown) {
        if (this.#closed) throw storeClosed();
        if (!isPassing(thrown)) throw toStoreError(what, thrown);
        cause = thrown;
      }
      const waitMs = waits.nextMs();
      if (performance.now() + waitMs >= untilMs) throw noAnswer(what, cause);
      await delay(waitMs);
    }
  }

  /**
   * Stores a message once, however often it has to be sent: each sending expects the same last message, so at most one is taken, and the
   * message's id tells which. (JetStream's own `Nats-Msg-Id` is forgotten after two minutes.)
   *
   * @returns its sequence; undefined when the subject has another last message than expected.
   */
  async store(write: Write, attempt: Attempt): Promise<number | undefined> {
    const { place, data, expectedSeq, ttlSeconds } = write;
    const id = nuid.next();
    const published = headers();
    for (const [name, value] of Object.entries({ ...write.headers, [idHeader]: id })) published.set(name, value);
    const options = {
      headers: published,
      timeout: natsBounds.attemptMs,
      expect: { streamName: place.stream, ...(expectedSeq !== undefined && { lastSubjectSequence: expectedSeq }) },
      ...(ttlSeconds !== undefined && { ttl: `${ttlSeconds}s` }),
    };
    let mayBeStored = false;
    return this.attempt(attempt, async () => {
      try {
        return (await this.manager.jetstream().publish(place.subject, data, options)).seq;
      } catch (thrown) {
        if (!isWrongSequence(thrown)) {
          mayBeStored = true;
          throw thrown;
        }
        if (!mayBeStored) return undefined;
        const next = await this.#get(place.stream, { seq: (expectedSeq ?? 0) + 1, next_by_subj: place.subject });
        return next?.headers.get(idHeader) === id ? next.seq : undefined;
      }
    });
  }

  /** The subject's last message. The stream's leader alone answers, so whatever was acknowledged is seen. */
  last({ stream, subject }: Place, attempt: Attempt): Promise<Stored | undefined> {
    return this.attempt(attempt, () => this.#get(stream, { last_by_subj: subject }));
  }

  /** The subject's first message of this sequence or a higher one, from the leader. */
  next({ stream, subject }: Place, seq: number, attempt: Attempt): Promise<Stored | undefined> {
    return this.attempt(attempt, () => this.#get(stream, { seq, next_by_subj: subject }));
  }

  /**
   * Some messages of a subject from this sequence on, at least one if there is any. Any server that has the stream answers, so the
   * newest may be missing.
   */
  page({ stream, subject }: Pick<Place, "stream" | "subject">, seq: number, attempt: Attempt): Promise<Stored[]> {
    const { pageBytes, pageMessages } = natsBounds;
    const question = JSON.stringify({
      seq: Math.max(1, seq),
      next_by_subj: subject,
      batch: pageMessages,
      max_bytes: pageBytes,
    });
    return this.attempt(attempt, () => this.#answers(`$JS.API.DIRECT.GET.${stream}`, question));
  }

  /** Hears what the leader tells of new messages, until the returned function is called. Some may be missed. */
  listen(told: string, listener: (stored: Stored) => void): () => void {
    const subscription = this.#connection.subscribe(told, {
      callback: (failed, message) => {
        const stored = failed === null ? storedOf(message) : undefined;
        if (stored !== undefined) listener(stored);
      },
    });
    return () => subscription.unsubscribe();
  }

  /** Ends it at once; what is under way fails. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#connection.close();
  }

  async #get(
    stream: string,
    query: { last_by_subj: string } | { seq: number; next_by_subj: string },
  ): Promise<Stored | undefined> {
    const message = await this.manager.streams.getMessage(stream, query);
    if (message === null) return undefined;
    const { subject, seq, header, data, timestamp } = message;
    return { subject, seq, headers: header, data, timeMs: Date.parse(timestamp) };
  }

  #answers(subject: string, question: string): Promise<Stored[]> {
    return new Promise((resolve, reject) => {
      const messages: Stored[] = [];
      const over = (settle: () => void) => {
        clearTimeout(timer);
        subscription.unsubscribe();
        settle();
      };
      const late = () => over(() => reject(new TimeoutError()));
      let timer = setTimeout(late, natsBounds.attemptMs);
      const inbox = createInbox();
      const subscription = this.#connection.subscribe(inbox, {
        callback: (failed, message) => {
          if (failed !== null) return over(() => reject(failed));
          const code = message.headers?.code ?? 0;
          if (code === 204 || code === 404) return over(() => resolve(messages)); // the end of the page, or nothing there
          if (code !== 0) return late(); // nobody there, for a moment
          const stored = storedOf(message);
          if (stored !== undefined) messages.push(stored);
          clearTimeout(timer);
          timer = setTimeout(late, natsBounds.attemptMs);
        },
      });
      this.#connection.publish(subject, question, { reply: inbox });
    });
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === "disconnect") this.#connected = false;
      if (type !== "reconnect") continue;
      this.#connected = true;
      for (const listener of this.#returned) listener();
    }
  }
}

/** A message that was told or got directly; undefined when it is no stored one. */
function storedOf({ headers, data }: Msg): Stored | undefined {
  const seq = Number(headers?.last("Nats-Sequence"));
  if (headers === undefined || !(seq > 0)) return undefined;
  const timeMs = Date.parse(headers.last("Nats-Time-Stamp"));
  // A copy: the client's own array is a piece of all that came with it.
  return { subject: headers.last("Nats-Subject"), seq, headers, data: data.length === 0 ? empty : data.slice(), timeMs };
}
