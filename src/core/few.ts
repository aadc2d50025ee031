/** A set that hardly ever holds more than one thing: only the second makes a `Set`, which alone costs more than the rest of it. */
export class Few<T extends object> {
  #first: T | undefined;
  #others: Set<T> | undefined;

  add(item: T): void {
    if (this.#first === item) return;
    if (this.#first === undefined && !this.#others?.size) this.#first = item;
    else {
      this.#others ??= new Set();
      this.#others.add(item);
    }
  }

  /** False when it was not there. */
  delete(item: T): boolean {
    if (this.#first !== item) return this.#others?.delete(item) ?? false;
    this.#first = undefined;
    return true;
  }

  /** Visits each in the order in which they came; what leaves before its turn is passed over. */
  forEach(visit: (item: T) => void): void {
    if (this.#first !== undefined) visit(this.#first);
    this.#others?.forEach(visit);
  }
}
