import { setTimeout as delay } from "node:timers/promises";
import { type Due, natsBounds, timers } from "../../core/index.ts";
import type { LeaseChange } from "../store.ts";
import { noAnswer, storeClosed } from "./failures.ts";
import { type LeaseRecord, readLeaseRecord } from "./lease-record.ts";
import type { Attempt, NatsLink, Stored } from "./link.ts";
import { ServerClock } from "./server-clock.ts";
import { SharedQuestion } from "./shared-question.ts";
import type { Layout } from "./subjects.ts";

/** A lease that lives. */
export interface Held {
  readonly key: string;
  readonly revision: bigint;
  readonly value: Uint8Array;
  /** The sequence of its last record. */
  readonly seq: number;
  /** By the servers' clock. */
  readonly endMs: number;
}

type Change = Exclude<LeaseChange, { case: "current" }>;

/** By chance, so that of many processes one asks whether a lease has ended. */
const markJitterMs = 15;

/** How long before its end a lease is put among those that messages may end: longer than a message is on its way. */
const aheadMs = 100;

/**
 * The leases as the stream tells of them, in this process: read once, then kept up to date by what the leader tells of each message. A
 * sequence that is missing means that something was not heard, and all is read again.
 */
export class LeaseMirror {
  readonly #link: NatsLink;
  readonly #layout: Layout;
  readonly #told: (change: Change) => void;
  readonly #held = new Map<string, Held>();
  readonly #dues = new Map<string, Due>();
  /** Leases whose time is over as far as this process can tell. */
  readonly #overdue = new Set<string>();
  /** Leases whose end is near. */
  readonly #ending = new Set<string>();
  /** The first of their ends, or a time before: most messages end none. */
  #firstEndMs = Number.POSITIVE_INFINITY;
  readonly #reached = new Set<() => void>();
  readonly #clock = new ServerClock();
  readonly #reading = new SharedQuestion(() => this.#read());
  readonly #marking = new SharedQuestion(() => this.#mark());
  /** What is told while the stream is read. */
  #ahead: Stored[] | undefined;
  #seq = 0;
  #heardMs = 0;
  #start: Promise<void> | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #isMarkDue = false;

  constructor(link: NatsLink, layout: Layout, told: (change: Change) => void) {
    this.#link = link;
    this.#layout = layout;
    this.#told = told;
  }

  /** Reads the leases when nobody has yet. */
  ready(): Promise<void> {
    this.#start ??= this.#begin().catch((thrown: unknown) => {
      this.#start = undefined;
      throw thrown;
    });
    return this.#start;
  }

  get(key: string): Held | undefined {
    return this.#held.get(key);
  }

  all(): Iterable<Held> {
    return this.#held.values();
  }

  /** Waits until all that was acknowledged before the call is here: a mark, stored after it, has come back. */
  caughtUp(): Promise<void> {
    return this.#marking.ask();
  }

  /** Waits until the mirror has this message. @throws ConnectError UNAVAILABLE when the time is over. */
  async reach(seq: number, { what, untilMs }: Attempt): Promise<void> {
    if (this.#seq >= seq) return;
    await new Promise<void>((resolve, reject) => {
      const over = (settle: () => void) => {
        this.#reached.delete(look);
        late.cancel();
        settle();
      };
      const look = () => {
        if (this.#link.closed) over(() => reject(storeClosed()));
        else if (this.#seq >= seq) over(resolve);
      };
      const late = timers.schedule(Math.max(0, untilMs - performance.now()), () =>
        over(() => reject(noAnswer(what, undefined))),
      );
      this.#reached.add(look);
    });
  }

  close(): void {
    clearInterval(this.#heartbeat);
    for (const due of this.#dues.values()) due.cancel();
    for (const look of [...this.#reached]) look();
  }

  async #begin(): Promise<void> {
    const { told } = this.#layout.leaseSubjects;
    const hush = this.#link.listen(told, (stored) => this.#hear(stored));
    try {
      await this.#reading.ask();
    } catch (thrown) {
      hush();
      throw thrown;
    }
    this.#link.onReturn(() => this.#readAgain());
    this.#heartbeat = setInterval(() => this.#listenForSilence(), natsBounds.leaseSilenceMs / 2).unref();
  }

  #hear(stored: Stored): void {
    this.#heardMs = performance.now();
    this.#clock.hear(stored.timeMs);
    if (this.#ahead !== undefined) {
      if (this.#ahead.length < natsBounds.maxLeasesAhead) this.#ahead.push(stored);
      return;
    }
    if (stored.seq <= this.#seq) return;
    if (stored.seq === this.#seq + 1) this.#take(stored, stored.timeMs);
    else this.#readAgain();
  }

  #readAgain(): void {
    this.#ahead ??= []; // from now on: what follows the gap is for after the reading
    this.#reading.ask().catch(async () => {
      if (this.#link.closed) return;
      await delay(natsBounds.attemptMs, undefined, { ref: false });
      this.#readAgain();
    });
  }

  /** Reads the stream up to a mark that is stored now, and beyond. */
  async #read(): Promise<void> {
    this.#ahead ??= [];
    const attempt = this.#attempt();
    const { stream, subject } = { stream: this.#layout.leases, subject: this.#layout.leaseSubjects.subject };
    const mark = await this.#storeMark(attempt);
    const records = new Map<string, Stored>();
    for (let [seq, tries] = [1, 0]; seq <= mark; ) {
      const page = await this.#link.page({ stream, subject }, seq, attempt);
      for (const stored of page) records.set(stored.subject, stored);
      seq = (page.at(-1)?.seq ?? seq - 1) + 1;
      if (page.length > 0) continue;
      if (performance.now() > attempt.untilMs) throw noAnswer(attempt.what, undefined);
      await delay(Math.min(2 ** tries++, 250)); // the server that answered is behind
    }
    this.#replace([...records.values()].sort((one, other) => one.seq - other.seq));
  }

  #replace(records: readonly Stored[]): void {
    const ofLeases = records.filter((stored) => readLeaseRecord(stored) !== undefined);
    const keys = new Set(ofLeases.map(({ subject }) => this.#layout.nameOf(subject)));
    const nowMs = Math.max(...records.map(({ timeMs }) => timeMs));
    for (const held of [...this.#held.values()]) if (!keys.has(held.key)) this.#end(held);
    for (const stored of records) this.#take(stored, nowMs);
    const ahead = this.#ahead ?? [];
    this.#ahead = undefined;
    for (const stored of ahead) this.#hear(stored);
  }

  /** One message, in the order of the stream, when the stream's time is `nowMs`. */
  #take(stored: Stored, nowMs: number): void {
    this.#seq = Math.max(this.#seq, stored.seq);
    const record = readLeaseRecord(stored);
    if (record !== undefined) this.#record(record, stored, nowMs);
    if (nowMs > this.#firstEndMs) this.#endThoseBefore(nowMs);
    for (const look of [...this.#reached]) look();
  }

  #record(record: LeaseRecord, { subject, seq, timeMs, data }: Stored, nowMs: number): void {
    const key = this.#layout.nameOf(subject);
    const held = this.#held.get(key);
    if (held !== undefined && held.seq >= seq) return;
    const ttlMs = record.kind === "released" ? 0 : record.ttlMs;
    const endMs = timeMs + ttlMs + natsBounds.leaseGraceMs;
    const isVoid = record.kind === "released" || (record.kind === "renewed" && timeMs > record.untilMs);
    if (isVoid || endMs < nowMs) {
      if (held !== undefined) this.#end(held);
      return;
    }
    const revision = record.kind === "taken" ? BigInt(seq) : record.revision;
    const isNews = record.kind === "taken" || record.isNews || held?.revision !== revision;
    this.#hold({ key, revision, value: data, seq, endMs }, isNews);
  }

  #endThoseBefore(nowMs: number): void {
    this.#firstEndMs = Number.POSITIVE_INFINITY;
    for (const key of this.#ending) {
      const held = this.#held.get(key);
      if (held === undefined) this.#ending.delete(key);
      else if (held.endMs < nowMs) this.#end(held);
      else this.#firstEndMs = Math.min(this.#firstEndMs, held.endMs);
    }
  }

  #hold(next: Held, isNews: boolean): void {
    this.#held.set(next.key, next);
    this.#ending.delete(next.key);
    this.#overdue.delete(next.key);
    this.#schedule(next);
    if (isNews) this.#told({ case: "put", key: next.key, value: next.value, revision: next.revision });
  }

  /** Puts a lease among those that the next messages may end, shortly before its time. */
  #schedule(held: Held): void {
    const { key, endMs } = held;
    this.#dues.get(key)?.cancel();
    const soon = () => {
      this.#ending.add(key);
      this.#firstEndMs = Math.min(this.#firstEndMs, endMs);
      this.#awaitEnd(held);
    };
    this.#dues.set(key, timers.schedule(Math.max(0, this.#clock.untilMs(endMs) - aheadMs), soon));
  }

  #awaitEnd({ key, endMs }: Held): void {
    this.#dues.get(key)?.cancel();
    this.#dues.set(
      key,
      timers.schedule(Math.max(0, this.#clock.untilMs(endMs)) + 1, () => this.#due(key)),
    );
  }

  #end(held: Held): void {
    this.#held.delete(held.key);
    this.#ending.delete(held.key);
    this.#overdue.delete(held.key);
    this.#dues.get(held.key)?.cancel();
    this.#dues.delete(held.key);
    this.#told({ case: "delete", key: held.key, revision: held.revision });
  }

  /** A lease's time seems to be over. Somebody's message will tell; when none comes, ours does. */
  #due(key: string): void {
    this.#overdue.add(key);
    if (this.#isMarkDue) return;
    this.#isMarkDue = true;
    timers.schedule(Math.random() * markJitterMs, () => void this.#settle());
  }

  async #settle(): Promise<void> {
    this.#isMarkDue = false;
    if (this.#link.closed || this.#overdue.size === 0) return;
    const overdue = [...this.#overdue];
    this.#overdue.clear();
    await this.#marking.ask().catch(() => {}); // NATS is away: the leases end when it is back
    if (this.#link.closed) return;
    for (const key of overdue) {
      const held = this.#held.get(key);
      if (held !== undefined && this.#ending.has(key)) this.#awaitEnd(held); // the servers' clock was not there yet
    }
  }

  async #mark(): Promise<void> {
    const attempt = this.#attempt();
    await this.reach(await this.#storeMark(attempt), attempt);
  }

  async #storeMark(attempt: Attempt): Promise<number> {
    const seq = await this.#link.store({ place: this.#layout.clock, data: new Uint8Array(), headers: {} }, attempt);
    return seq ?? 0; // it expects nothing that could be otherwise
  }

  /** A message that was not heard shows by the next one; when there is none for long, there is a mark. */
  #listenForSilence(): void {
    if (performance.now() - this.#heardMs > natsBounds.leaseSilenceMs) this.#marking.ask().catch(() => {});
  }

  #attempt(): Attempt {
    return { what: "leases", untilMs: performance.now() + natsBounds.retryMs };
  }
}
