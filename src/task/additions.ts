import { createHash } from "node:crypto";
import { checkAppend, type EntryInit } from "../memory/index.ts";

/** An entry that a task adds to a thread when it finishes well. */
export interface Addition {
  readonly thread: string;
  readonly entry: EntryInit & { readonly id: string };
}

/** The additions of one task. Their ids follow from the task, so that adding them again adds nothing. */
export class Additions {
  readonly #idPrefix: string;
  readonly #all: Addition[] = [];

  /** @param task what names the task for all callers. */
  constructor(task: string) {
    this.#idPrefix = createHash("sha256").update(task).digest("hex").slice(0, 32);
  }

  get all(): readonly Addition[] {
    return this.#all;
  }

  /** @throws ConnectError INVALID_ARGUMENT for what its thread could not take. */
  add(thread: string, entry: EntryInit): void {
    const addition = { thread, entry: { ...entry, id: `${this.#idPrefix}-${this.#all.length}` } };
    const ofThread = [...this.#all.filter((each) => each.thread === thread), addition];
    checkAppend(
      thread,
      ofThread.map((each) => each.entry),
      undefined,
    );
    this.#all.push(addition);
  }
}
