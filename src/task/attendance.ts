import { type Due, Few, taskBounds, timers } from "../core/index.ts";

/** Told that a task has settled. */
type Attendant = () => void;

/** A caller that waits. */
export interface Hold {
  /** Lets go. @param isLost its connection broke: it may come back. Default: it has had enough. */
  release(isLost?: boolean): void;
}

/** What is waited for. */
export interface Attended {
  /** How long one that seems lost is waited for. */
  readonly abandonAfterMs: number;
  /** Nobody waits any more. @param isLost the last one's connection broke. @returns true to wait for it, and to be told of its absence. */
  unattended(isLost: boolean): boolean;
  /** Nobody has come back. @param hasLeft the last one has said that it does not. */
  abandoned(hasLeft: boolean): void;
}

/** Who waits for a task. */
export class Attendance {
  readonly #attended: Attended;
  #holders = 0;
  #attendants: Few<Attendant> | undefined;
  /** Comes when nobody has come back. */
  #abandonment: Due | undefined;
  /** Until then, a caller that seems lost has left. */
  #leavingUntilMs = 0;

  constructor(attended: Attended) {
    this.#attended = attended;
  }

  /** True while somebody waits. */
  get isAny(): boolean {
    return this.#holders > 0;
  }

  /** Counts a caller that waits. */
  hold(): Hold {
    this.#arrive();
    let held = true;
    const release = (isLost = false) => {
      if (held) this.#depart(isLost);
      held = false;
    };
    return { release };
  }

  /** Calls back once, when the task settles; until then the attendant holds it, like {@link hold}. */
  attend(attendant: Attendant): void {
    this.#arrive();
    this.#attendants ??= new Few();
    this.#attendants.add(attendant);
  }

  /** Lets go of the task before it settles. @param isLost as of {@link Hold.release}. */
  leave(attendant: Attendant, isLost: boolean): void {
    if (this.#attendants?.delete(attendant)) this.#depart(isLost);
  }

  /** A caller that is gone, or is about to seem lost, does not come back. */
  callerLeft(): void {
    if (this.#abandonment !== undefined) {
      this.#abandonment.cancel();
      this.#abandonment = undefined;
      this.#attended.abandoned(true);
    } else if (this.isAny) this.#leavingUntilMs = performance.now() + taskBounds.leavingPatienceMs;
  }

  /** Tells the attendants that the task has settled. */
  settled(): void {
    this.#abandonment?.cancel();
    const attendants = this.#attendants;
    this.#attendants = undefined;
    attendants?.forEach((settled) => {
      this.#holders--;
      settled();
    });
  }

  #arrive(): void {
    this.#holders++;
    this.#abandonment?.cancel();
    this.#abandonment = undefined;
  }

  #depart(isLost: boolean): void {
    this.#holders--;
    const hasLeft = !isLost || performance.now() < this.#leavingUntilMs;
    if (isLost && hasLeft) this.#leavingUntilMs = 0;
    if (this.isAny || !this.#attended.unattended(!hasLeft)) return;
    this.#abandonment = timers.schedule(this.#attended.abandonAfterMs, () => {
      this.#abandonment = undefined;
      this.#attended.abandoned(false);
    });
  }
}
