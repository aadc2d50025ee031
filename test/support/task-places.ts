import { createMemoryStore, type ServeOptions } from "../../src/index.ts";
import { openStore } from "./sqlite.ts";

/** Where a server's tasks may live, as its options say it. */
export const taskPlaces: readonly [name: string, open: () => Promise<Pick<ServeOptions, "store">>][] = [
  ["the server's process", async () => ({})],
  ["an in-process store", async () => ({ store: createMemoryStore() })],
  ["an SQLite file", async () => ({ store: await openStore() })],
];
