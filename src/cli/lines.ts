import type { Interface } from "node:readline";

/** Lines in the order they were typed; those that came before a question can be kept from answering it. */
export class TypedLines {
  readonly #lines: AsyncIterator<string>;
  readonly #aside: string[] = [];
  /** Lines that have come and not been taken. */
  #ready = 0;

  constructor(lines: Interface) {
    lines.on("line", () => this.#ready++);
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /** The next one, of those set aside first; undefined when there are no more. */
  async next(): Promise<string | undefined> {
    return this.#aside.shift() ?? (await this.nextTyped());
  }

  /** The next one that is not set aside. */
  async nextTyped(): Promise<string | undefined> {
    const { done, value } = await this.#lines.next();
    if (done === true) return undefined;
    this.#ready--;
    return value;
  }

  /** Sets aside what has come so far: as many as Node reads ahead. */
  async setAside(): Promise<void> {
    for (let left = this.#ready; left > 0; left--) {
      const line = await this.nextTyped();
      if (line !== undefined) this.#aside.push(line);
    }
  }
}
