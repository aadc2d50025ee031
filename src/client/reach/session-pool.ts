import { type ClientSession, openSession, type SessionEvents, type TransportOptions } from "../../wire/index.ts";

/** Opens a connection, as {@link openSession} does. */
export type OpenSession = (options: TransportOptions, events: SessionEvents) => ClientSession;

/**
 * Connections that several targets share. Who asks for one to a place gets what others have opened there, as long as it has not got that
 * already and the peer takes more calls on it. A connection is closed when nobody has it any more.
 */
export class SessionPool {
  readonly #places = new Map<string, Set<SharedSession>>();

  /** What one target opens its connections to a place with. @param place connections of the same place are the same to everybody. */
  opener(place: string): OpenSession {
    const own = new Set<SharedSession>();
    return (options, events) => {
      const there = this.#at(place);
      const other = [...there].find((each) => !own.has(each) && each.open);
      const shared =
        other ??
        new SharedSession(
          (fanOut) => openSession(options, fanOut),
          () => this.#forget(place, shared),
        );
      there.add(shared);
      own.add(shared);
      return shared.join(events, () => own.delete(shared));
    };
  }

  /** Closes every connection; the calls on them end. */
  close(): void {
    for (const there of this.#places.values()) for (const shared of there) shared.session.close();
    this.#places.clear();
  }

  #at(place: string): Set<SharedSession> {
    const there = this.#places.get(place) ?? new Set();
    this.#places.set(place, there);
    return there;
  }

  #forget(place: string, shared: SharedSession): void {
    const there = this.#places.get(place);
    there?.delete(shared);
    if (there?.size === 0) this.#places.delete(place);
  }
}

/** One who has a connection. */
interface Holder {
  readonly events: SessionEvents;
  readonly leave: () => void;
  alive: boolean;
}

class SharedSession {
  readonly session: ClientSession;
  readonly #holders = new Set<Holder>();
  readonly #onEnd: () => void;
  #ready = false;

  /** @param onEnd nobody is to have it from now on. */
  constructor(open: (events: SessionEvents) => ClientSession, onEnd: () => void) {
    this.#onEnd = onEnd;
    this.session = open({
      ready: () => {
        this.#ready = true;
        for (const { events } of [...this.#holders]) events.ready();
      },
      gone: (cause) => {
        onEnd();
        for (const holder of [...this.#holders]) {
          this.#drop(holder);
          holder.events.gone(cause);
        }
      },
    });
  }

  /** One more may have it. */
  get open(): boolean {
    return !this.#ready || this.session.free;
  }

  join(events: SessionEvents, leave: () => void): ClientSession {
    const { session } = this;
    const holder: Holder = { events, leave, alive: false };
    this.#holders.add(holder);
    if (this.#ready) queueMicrotask(() => this.#holders.has(holder) && events.ready());
    return {
      get free() {
        return session.free;
      },
      open: (request, sink) => session.open(request, sink),
      hold: (alive) => {
        holder.alive = alive;
        this.#hold();
      },
      close: () => this.#leave(holder),
    };
  }

  #leave(holder: Holder): void {
    this.#drop(holder);
    this.#hold();
    if (this.#holders.size > 0) return;
    this.#onEnd();
    this.session.close();
  }

  #drop(holder: Holder): void {
    this.#holders.delete(holder);
    holder.leave();
  }

  #hold(): void {
    this.session.hold([...this.#holders].some(({ alive }) => alive));
  }
}
