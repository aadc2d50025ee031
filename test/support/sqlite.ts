import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteStore, type SqliteStore, type SqliteStoreOptions } from "../../src/store/index.ts";

const folders: string[] = [];
const stores: SqliteStore[] = [];

afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The name of a file in a folder of its own, both gone after the test file. */
export function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "convoke-store-"));
  folders.push(folder);
  return join(folder, "store.db");
}

/** A store in a new file, or the one that is named; closed after the test file at the latest. */
export async function openStore(options: Partial<SqliteStoreOptions> = {}): Promise<SqliteStore> {
  const store = await createSqliteStore({ path: newPath(), ...options });
  stores.push(store);
  return store;
}
