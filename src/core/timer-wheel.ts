/** Something that is due once. */
export interface Due {
  /** Forgets it, if it is not over yet. */
  cancel(): void;
}

/**
 * The wheel's step. What is due fires when the wheel comes by after the end of its step: never early, and late by no more than two
 * steps and the event loop.
 */
const stepMs = 5;
/** Steps in a turn: what is due later waits in its slot for the turns between. */
const slotCount = 4_096;

class Entry implements Due {
  previous: Entry | undefined;
  next: Entry | undefined;
  slot: Slot | undefined;
  readonly step: number;
  readonly fire: () => void;
  readonly #wheel: TimerWheel;

  constructor(wheel: TimerWheel, step: number, fire: () => void) {
    this.#wheel = wheel;
    this.step = step;
    this.fire = fire;
  }

  cancel(): void {
    this.#wheel.remove(this);
  }
}

class Slot {
  first: Entry | undefined;

  add(entry: Entry): void {
    entry.slot = this;
    entry.next = this.first;
    if (this.first !== undefined) this.first.previous = entry;
    this.first = entry;
  }

  remove(entry: Entry): void {
    if (entry.previous === undefined) this.first = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next !== undefined) entry.next.previous = entry.previous;
    entry.slot = entry.previous = entry.next = undefined;
  }
}

/**
 * Timers for calls: a hashed wheel (Varghese and Lauck, scheme 6) on one timer of Node, so that a deadline that is not reached,
 * which is nearly every one, costs a list entry. The timer keeps no process alive.
 */
export class TimerWheel {
  readonly #slots: Slot[] = Array.from({ length: slotCount }, () => new Slot());
  #count = 0;
  #step = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Calls `fire` once, after `delayMs` milliseconds (0 or more). */
  schedule(delayMs: number, fire: () => void): Due {
    if (this.#count === 0) this.#step = stepNow();
    const step = Math.max(this.#step, Math.floor((performance.now() + delayMs) / stepMs)) + 1;
    const entry = new Entry(this, step, fire);
    this.#slots[step % slotCount]?.add(entry);
    this.#count++;
    this.#timer ??= setInterval(() => this.#turn(), stepMs).unref();
    return entry;
  }

  /** Takes an entry off the wheel. */
  remove(entry: Entry): void {
    if (entry.slot === undefined) return;
    entry.slot.remove(entry);
    this.#count--;
  }

  #turn(): void {
    if (this.#count === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const now = stepNow();
    // After a long pause of the process one whole turn visits every slot there is.
    const from = Math.max(this.#step + 1, now - slotCount + 1);
    for (let step = from; step <= now; step++) this.#fireSlot(step % slotCount, now);
    this.#step = now;
  }

  #fireSlot(index: number, now: number): void {
    let entry = this.#slots[index]?.first;
    const due: Entry[] = [];
    for (; entry !== undefined; entry = entry.next) if (entry.step <= now) due.push(entry);
    for (const each of due) {
      if (each.slot === undefined) continue; // one before it has cancelled it
      this.remove(each);
      each.fire();
    }
  }
}

function stepNow(): number {
  return Math.floor(performance.now() / stepMs);
}

/** The wheel of this process. */
export const timers = /* @__PURE__ */ new TimerWheel();
