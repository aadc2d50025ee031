import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import Database from "better-sqlite3";
import { isLeaseLost, type Store } from "../src/store/index.ts";
import { createRandom, seed } from "./support/random.ts";
import { newPath, openStore } from "./support/sqlite.ts";

const logs = ["a", "b", "c"];
const length = 200;
const pageBytes = 4_096;
/** What entry `number` of a log holds: as much as puts forty of them on a page. */
const textOf = (log: string, number: number) => `<${log}:${number}>`.padEnd(90, "-");

/** What reading a log came to. */
interface Reading {
  readonly entries: readonly string[];
  readonly thrown: unknown;
}

async function readAll(store: Store, log: string): Promise<Reading> {
  const entries: string[] = [];
  try {
    for await (const entry of store.read(log, 0)) entries.push(new TextDecoder().decode(entry));
    return { entries, thrown: undefined };
  } catch (thrown) {
    return { entries, thrown };
  }
}

const whole = (log: string) => ({ entries: Array.from({ length }, (_, number) => textOf(log, number)), thrown: undefined });

/** A closed store's file with three logs, each entry in it once: pages that were split keep old copies, which damage would miss. */
async function writeFile(): Promise<string> {
  const path = newPath();
  const store = await openStore({ path });
  const appends = logs.map((log) => {
    const entries = Array.from({ length }, (_, number) => new TextEncoder().encode(textOf(log, number)));
    return store.append(log, entries);
  });
  await Promise.all(appends); // so many at once are not put among the recent ones
  await store.close();
  const file = new Database(path);
  file.exec("VACUUM");
  file.close();
  return path;
}

/** The file with some bytes changed, opened. */
async function openDamaged(path: string, damage: (file: Buffer) => void): Promise<Store> {
  const file = readFileSync(path);
  damage(file);
  const damaged = newPath();
  writeFileSync(damaged, file);
  return openStore({ path: damaged });
}

/** Where the leaves of the tree begin that hold entries of one log alone. */
function leavesOf(path: string, log: string): number[] {
  const file = new Database(path, { readonly: true });
  const numbers = file
    .prepare("SELECT pageno FROM dbstat WHERE name = 'entries' AND pagetype = 'leaf' ORDER BY path")
    .pluck()
    .all();
  file.close();
  const bytes = readFileSync(path);
  const isAlone = (page: number) =>
    logs.every((each) => bytes.subarray(page, page + pageBytes).includes(`<${each}:`) === (each === log));
  return numbers.map((number) => (Number(number) - 1) * pageBytes).filter(isAlone);
}

/** It gives the right entries up to the damage and then says so, or all of them when the damage touched none. */
function expectHonest(log: string, { entries, thrown }: Reading): void {
  expect(entries).toEqual(whole(log).entries.slice(0, entries.length));
  if (thrown === undefined) expect(entries).toHaveLength(length);
  else {
    expect(thrown).toMatchObject({ code: Code.DataLoss });
    expect(String(thrown)).toContain(`entry ${entries.length} of log "${log}"`);
  }
}

test("a flipped bit in an entry is DATA_LOSS that names log and entry, after the entries before it", async () => {
  const store = await openDamaged(await writeFile(), (file) => {
    const at = file.indexOf("<b:77>") + 3;
    file[at] = (file[at] ?? 0) ^ 1;
  });
  const { entries, thrown } = await readAll(store, "b");
  expect(entries).toEqual(whole("b").entries.slice(0, 77));
  expect(thrown).toMatchObject({ code: Code.DataLoss, rawMessage: expect.stringContaining('entry 77 of log "b" is damaged') });
  for (const log of ["a", "c"]) expect(await readAll(store, log)).toEqual(whole(log));
  expect(await store.append("b", [new Uint8Array()], { expectedLength: length })).toBe(length + 1); // its end is well
});

test("entries that have changed places are damaged", async () => {
  const store = await openDamaged(await writeFile(), (file) => {
    for (const [log, number] of [
      ["b", 10],
      ["b", 12],
    ] as const) {
      const at = file.indexOf(`<${log}:${number}>`);
      file.write(textOf(log, number === 10 ? 12 : 10), at);
    }
  });
  expectHonest("b", await readAll(store, "b"));
  expect((await readAll(store, "b")).entries).toHaveLength(10);
});

test.each<[what: string, at: number, value: number]>([
  ["the kind of the page", 0, 0x0d],
  ["no such kind of page", 0, 0x77],
  ["how many cells: more", 3, 0x01],
  ["how many cells: none", 4, 0],
  ["how many cells: one less", 4, -1],
  ["where the first cell is", 8, 0x03],
])("a damaged page header is DATA_LOSS, for its log alone: %s", async (_, at, value) => {
  const path = await writeFile();
  for (const [log, leaf] of [
    ["b", leavesOf(path, "b")[1] ?? 0],
    ["c", leavesOf(path, "c").at(-1) ?? 0],
  ] as const) {
    const store = await openDamaged(path, (file) => {
      file[leaf + at] = value === -1 ? (file[leaf + at] ?? 0) - 1 : value;
    });
    const reading = await readAll(store, log);
    expectHonest(log, reading);
    expect(reading.thrown).toBeDefined();
    for (const other of logs) if (other !== log) expect(await readAll(store, other)).toEqual(whole(other));
  }
});

// 90 bytes of blob have the serial type 192, which is 0x81 0x40 (https://sqlite.org/fileformat2.html, section 2.1)
test.each<[what: string, at: number, value: number]>([
  ["a text of the same bytes", 1, 0x41],
  ["a number", 0, 0x01],
])("an entry that has become %s is DATA_LOSS", async (_, at, value) => {
  const path = await writeFile();
  const store = await openDamaged(path, (file) => {
    const type = file.lastIndexOf(Buffer.from([0x81, 0x40]), file.indexOf(textOf("b", 10)));
    file[type + at] = value;
  });
  const reading = await readAll(store, "b");
  expectHonest("b", reading);
  expect(reading.entries).toHaveLength(10);
});

test(`bits flipped anywhere in a log's pages never give a wrong entry, a gap or an early end (SEED=${seed})`, async () => {
  const random = createRandom(seed);
  const path = await writeFile();
  const leaves = leavesOf(path, "b");
  for (let round = 0; round < 60; round++) {
    const store = await openDamaged(path, (file) => {
      const page = leaves[random(leaves.length)] ?? 0;
      for (let flips = 1 + random(3); flips > 0; flips--) {
        const at = page + random(pageBytes);
        file[at] = (file[at] ?? 0) ^ (1 << random(8));
      }
    });
    expectHonest("b", await readAll(store, "b"));
    expect(await readAll(store, "a")).toEqual(whole("a"));
    expect(await readAll(store, "c")).toEqual(whole("c"));
  }
}, 60_000);

test("a log whose row says another length is DATA_LOSS, to read, append, trim and list; appends beside it go on", async () => {
  const path = await writeFile();
  const file = new Database(path);
  file.exec("UPDATE logs SET length = 150 WHERE name = 'b'");
  file.close();
  const store = await openStore({ path });
  const lost = { code: Code.DataLoss, rawMessage: expect.stringContaining('log "b" is damaged') };
  const outcomes = await Promise.allSettled(logs.map((log) => store.append(log, [new Uint8Array()])));
  expect(outcomes).toMatchObject([{ value: length + 1 }, { reason: lost }, { value: length + 1 }]);
  expect((await readAll(store, "b")).thrown).toMatchObject(lost);
  await expect(store.trim("b", 1)).rejects.toMatchObject(lost);
  await expect(store.logs("")).rejects.toMatchObject(lost);
  expect(await store.logs("", { after: "b" })).toMatchObject([{ name: "c" }]);
});

test("an append to a damaged page is DATA_LOSS, and appends of the same moment beside it are not", async () => {
  const store = await openDamaged(await writeFile(), (file) => {
    const page = Math.floor(file.indexOf(`<b:${length - 1}>`) / pageBytes) * pageBytes;
    file[page] = 0x77;
  });
  const large = new Uint8Array(1_000); // which is not put among the recent ones
  const outcomes = await Promise.allSettled(["a", "b", "new"].map((log) => store.append(log, [large])));
  const lost = { code: Code.DataLoss, rawMessage: expect.stringContaining('log "b"') };
  expect(outcomes).toMatchObject([{ value: length + 1 }, { reason: lost }, { value: 1 }]);
});

test("damage among the recent entries is DATA_LOSS of logs that have some there; others are read, and all can be appended to", async () => {
  const path = await writeFile();
  const first = await openStore({ path });
  await first.append("young", [new TextEncoder().encode("0")]);
  await first.close();
  const schema = new Database(path);
  const root = Number(schema.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'recent'").pluck().get());
  schema.close();
  const store = await openDamaged(path, (file) => {
    file[(root - 1) * pageBytes] = 0x77;
  });
  for (const log of logs) expect(await readAll(store, log)).toEqual(whole(log));
  const lost = { code: Code.DataLoss, rawMessage: expect.stringContaining('entry 0 of log "young"') };
  expect((await readAll(store, "young")).thrown).toMatchObject(lost);
  expect(await Promise.all(["a", "new", "young"].map((log) => store.append(log, [new Uint8Array()])))).toEqual([
    length + 1,
    1,
    2,
  ]);
  expect(await readAll(store, "new")).toEqual({ entries: [""], thrown: undefined });
});

/** Memory as a disk of few bytes; undefined where it cannot be had. */
function mountSmallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "convoke-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], { stdio: "ignore" });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

const disk = mountSmallDisk();

afterAll(() => {
  if (disk === undefined) return;
  execFileSync("umount", ["--lazy", disk]);
  rmSync(disk, { recursive: true });
});

const onDisk: typeof test = disk === undefined ? test.skip : test; // only root can mount one

onDisk(
  `a full disk is RESOURCE_EXHAUSTED; reads go on, and appends too when there is room${disk === undefined ? " (skipped: a disk cannot be mounted here)" : ""}`,
  async () => {
    const ballast = join(disk ?? "", "ballast");
    writeFileSync(ballast, new Uint8Array(1024 * 1024));
    const store = await openStore({ path: join(disk ?? "", "store.db") });
    const lease = await store.lease("key", new Uint8Array(), 60_000);
    const entry = (number: number) => new Uint8Array(20_000).fill(number);
    let count = 0;
    let thrown: unknown;
    while (thrown === undefined && count < 1_000) {
      await store.append("a", [entry(count)], { expectedLength: count }).then(
        () => count++,
        (error: unknown) => {
          thrown = error;
        },
      );
    }
    expect(count).toBeGreaterThan(10);
    const full = { code: Code.ResourceExhausted, rawMessage: "the disk of the store is full" };
    expect(thrown).toMatchObject(full);
    await expect(store.append("b", [new Uint8Array(100_000)])).rejects.toMatchObject(full);
    let read = 0;
    for await (const each of store.read("a", 0)) expect(Buffer.compare(each, entry(read++))).toBe(0);
    expect(read).toBe(count);
    unlinkSync(ballast);
    expect(await store.append("a", [entry(count)], { expectedLength: count })).toBe(count + 1);
    await lease.renew();
    expect(isLeaseLost(await lease.release())).toBe(false);
    await store.close();
  },
);
