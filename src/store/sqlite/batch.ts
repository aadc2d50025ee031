/** What the writing thread can be asked, each of them about one log or one key. */
const kinds = ["append", "trim", "lease", "renew", "release"] as const;

/** One change of the file. */
export interface Operation {
  readonly kind: (typeof kinds)[number];
  /** The log's name or the lease's key. */
  readonly name: string;
  /** append: the expected length, -1 for any. trim: the first number that is kept. lease: `ttlMs`. renew, release: the revision. */
  readonly number: number;
  /** append: the entries. lease: the value, and the presence that it ends with. renew: the new value, if there is one. */
  readonly arrays: readonly Uint8Array[];
}

/** Operations in columns: a message of few objects, however many operations there are. */
export interface Batch {
  readonly kinds: Uint8Array;
  readonly names: readonly string[];
  readonly numbers: Float64Array;
  /** How many arrays each operation has. */
  readonly counts: Uint32Array;
  /** Of all arrays, one after another. */
  readonly sizes: Uint32Array;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export function bytesOf({ arrays }: Operation): number {
  let bytes = 0;
  for (const { byteLength } of arrays) bytes += byteLength;
  return bytes;
}

export function pack(operations: readonly Operation[]): Batch {
  const sizes = operations.flatMap(({ arrays }) => arrays.map(({ byteLength }) => byteLength));
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const { arrays } of operations) {
    for (const array of arrays) {
      bytes.set(array, at);
      at += array.byteLength;
    }
  }
  return {
    kinds: Uint8Array.from(operations, ({ kind }) => kinds.indexOf(kind)),
    names: operations.map(({ name }) => name),
    numbers: Float64Array.from(operations, ({ number }) => number),
    counts: Uint32Array.from(operations, ({ arrays }) => arrays.length),
    sizes: Uint32Array.from(sizes),
    bytes,
  };
}

/** The operations again; their arrays lie in the batch's bytes. */
export function unpack({ kinds: kindIndexes, names, numbers, counts, sizes, bytes }: Batch): Operation[] {
  let [array, at] = [0, 0];
  return names.map((name, index) => {
    const arrays: Uint8Array[] = [];
    for (let count = counts[index] ?? 0; count > 0; count--) {
      const size = sizes[array++] ?? 0;
      arrays.push(bytes.subarray(at, at + size));
      at += size;
    }
    return { kind: kinds[kindIndexes[index] ?? 0] ?? "append", name, number: numbers[index] ?? 0, arrays };
  });
}
