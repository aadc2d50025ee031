import type { Durability, Store } from "../store/index.ts";
import type { Keeping } from "../task/index.ts";

/** In their order: what survives more comes later. */
const durabilities: readonly Durability[] = ["memory", "disk", "cluster"];

/** Where a server's tasks are kept; undefined when they end with it. @throws RangeError for a durability that the store does not give. */
export function keepingOf({ store, durability }: { store?: Store; durability?: Durability }): Keeping | undefined {
  const given = store?.durability ?? "memory";
  const wanted = durability ?? given;
  const rank = durabilities.indexOf(wanted);
  if (rank < 0) throw new RangeError(`durability is "${wanted}"; it must be one of ${durabilities.join(", ")}`);
  if (rank > durabilities.indexOf(given)) throw new RangeError(`durability is "${wanted}", and the store gives "${given}"`);
  return store && { store, isEager: rank < durabilities.indexOf(given) };
}
