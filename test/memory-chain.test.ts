import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema, PreconditionFailureSchema } from "../gen/google/rpc/error_details_pb.js";
import { MemoryService, Proof, type ThreadEntry, ThreadEntrySchema } from "../src/contract/index.ts";
import { chainBytes, dataLoss } from "../src/core/index.ts";
import { createMemoryStore, createThreads, type Store } from "../src/index.ts";
import { createListener, createRpcHandler, type Listener } from "../src/wire/index.ts";
import { clientOf, collect, contentsOf, entryOf, failureOf } from "./support/memory.ts";
import { startServer } from "./support/server.ts";

const anonymous = { name: "anonymous", proof: "none" } as const;

function sha256Of(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Entries, the bytes that their hash is taken over, and the hash, as `sha256sum` gives it. */
const vectors: readonly [what: string, thread: string, entry: ThreadEntry, bytes: string, sha256: string][] = [
  [
    "the first of a thread, with no more than it needs",
    "plan",
    entryOf({
      id: "a",
      author: { name: "anonymous", proof: Proof.NONE },
      appendTime: { seconds: 1_767_225_600n, nanos: 0 },
      kind: "note",
      content: "hello",
    }),
    "20:agent.v1.ThreadEntry,0:,4:plan,1:0,1:a,9:anonymous,1:1,10:1767225600,1:0,4:note,5:hello,0:,0:,1:0,",
    "80dbcb33792843576f5d5e9504e2eca5dd3fd29e111242f2a3b0ac77a9587890",
  ],
  [
    "a later one, with everything, in characters of one to four bytes",
    "team/plan",
    entryOf({
      number: 12,
      id: "task-7/0",
      author: { name: "spiffe://example.org/agent/ana", proof: Proof.MTLS },
      appendTime: { seconds: 1_767_225_600n, nanos: 25_000_000 },
      kind: "answer",
      content: "a,1:é€😀\n",
      metadata: { b: "2", B: "", a: "é" },
      origin: { taskId: "task-7", agent: "scheduler" },
      previousSha256: "ab".repeat(32),
    }),
    `20:agent.v1.ThreadEntry,64:${"ab".repeat(32)},9:team/plan,2:12,8:task-7/0,30:spiffe://example.org/agent/ana,1:2,` +
      "10:1767225600,8:25000000,6:answer,14:a,1:é€😀\n,6:task-7,9:scheduler,1:3,1:B,0:,1:a,2:é,1:b,1:2,",
    "584d0bb4bab63b72e73500802c6e8c7bb7d36545f06b10da481a682de526c658",
  ],
];

test.each(vectors)("the hash of %s", (_what, thread, entry, bytes, sha256) => {
  expect(new TextDecoder().decode(chainBytes(thread, entry))).toBe(bytes);
  expect(sha256Of(chainBytes(thread, entry))).toBe(sha256);
});

/** A thread with three entries, the store that it is in, and a client of a server on it. */
async function threeEntries() {
  const store = createMemoryStore();
  const thread = clientOf(await startServer({ memory: { store } })).memory("plan");
  const entries = await thread.appendAll(["zero", "one", "two"]);
  return { store, thread, entries };
}

test("each entry carries the hash of the one before, and its own is what the contract says", async () => {
  const { entries, thread } = await threeEntries();
  expect(entries.map(({ number }) => number)).toEqual([0, 1, 2]);
  expect(entries.map(({ previousSha256 }) => previousSha256)).toEqual(["", entries[0]?.sha256, entries[1]?.sha256]);
  expect(entries.map(({ sha256 }) => sha256)).toEqual(entries.map((entry) => sha256Of(chainBytes("plan", entry))));
  const state = { first: 0, length: 3, sha256: entries[2]?.sha256 };
  expect(await thread.verify()).toEqual(state);
  expect(await thread.verifyAtServer()).toEqual(state);
});

test("a thread that is not there is whole, and has nothing", async () => {
  const memory = clientOf(await startServer()).memory("nothing");
  expect(await memory.verify()).toEqual({ first: 0, length: 0, sha256: "" });
  expect(await memory.verifyAtServer()).toEqual({ first: 0, length: 0, sha256: "" });
});

/** Copies the records of a thread into the log of a store of its own, with something done to them. */
async function tampered(store: Store, change: (records: Uint8Array[]) => Uint8Array[]): Promise<Store> {
  const other = createMemoryStore();
  await other.append("thread/plan", change(await collect(store.read("thread/plan", 0))));
  return other;
}

function record(entry: ThreadEntry): Uint8Array {
  return toBinary(ThreadEntrySchema, entry);
}

/** An entry that is sealed as well as a stranger could do it. */
function sealed(entry: ThreadEntry): Uint8Array {
  return record({ ...entry, sha256: sha256Of(chainBytes("plan", entry)) });
}

type Change = (records: Uint8Array[], entries: ThreadEntry[]) => (Uint8Array | undefined)[];

test.each<[what: string, change: Change, number: number, why: string]>([
  ["a record that is no entry", ([a], _) => [a, new Uint8Array([255, 1, 2])], 1, "its record is no entry"],
  ["an empty record", ([a]) => [a, new Uint8Array()], 1, "there is entry 0 in its place"],
  [
    "a content that was changed",
    ([a, , c], [, one]) => [a, one && record({ ...one, content: "uno" }), c],
    1,
    "its hash is not",
  ],
  ["an author that was changed", ([a], [, one]) => [a, one && record({ ...one, author: undefined })], 1, "its hash is not"],
  [
    "an entry that was put in the place of another",
    ([a, , c], [, one]) => [a, one && sealed({ ...one, content: "uno" }), c],
    2,
    "it does not go on",
  ],
  ["a gap", ([a, , c]) => [a, c], 1, "there is entry 2 in its place"],
  ["entries that changed places", ([a, b, c]) => [b, a, c], 0, "there is entry 1 in its place"],
  ["an entry that is there twice", ([a, b]) => [a, b, b], 2, "there is entry 1 in its place"],
  [
    "a chain that begins anew",
    ([a, b], [, , two]) => [a, b, two && sealed({ ...two, previousSha256: "" })],
    2,
    "it does not go on",
  ],
  [
    "a chain whose beginning is said to be elsewhere",
    (_, [zero]) => [zero && sealed({ ...zero, previousSha256: "ab".repeat(32) })],
    0,
    "it does not go on",
  ],
])("%s is DATA_LOSS that names thread and entry", async (_what, change, number, why) => {
  const { store, entries } = await threeEntries();
  const damaged = await tampered(store, (records) => change(records, entries).filter((each) => each !== undefined));
  const thread = clientOf(await startServer({ memory: { store: damaged } })).memory("plan");
  const stopped = new AbortController();
  for (const work of [
    () => thread.verifyAtServer(),
    () => thread.verify(),
    () => collect(thread.read()),
    () => collect(thread.tail({ signal: stopped.signal })),
    () => thread.append("three"),
  ]) {
    const failure = await failureOf(work());
    expect(failure).toMatchObject({
      code: 15,
      rawMessage: expect.stringContaining(`thread "plan" is damaged at entry ${number}: ${why}`),
    });
    expect(failure.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "THREAD_DAMAGED", domain: "convoke", metadata: { thread: "plan", number: String(number) } },
    ]);
  }
});

test("what comes before the damage can be read", async () => {
  const { store } = await threeEntries();
  const damaged = await tampered(store, ([a, b]) => [a, b, new Uint8Array([255])].filter((each) => each !== undefined));
  const thread = clientOf(await startServer({ memory: { store: damaged } })).memory("plan");
  expect(await contentsOf(thread.read({ limit: 2 }))).toEqual(["zero", "one"]);
});

test("a thread under another name is not that thread", async () => {
  const { store } = await threeEntries();
  const other = createMemoryStore();
  await other.append("thread/copy", await collect(store.read("thread/plan", 0)));
  const failure = await failureOf(createThreads({ store: other }).verify("copy"));
  expect(failure.rawMessage).toBe('thread "copy" is damaged at entry 0: its hash is not that of what it says');
});

test("DATA_LOSS of the store names thread and entry, and keeps the store's words", async () => {
  const { store } = await threeEntries();
  const read: Store["read"] = async function* (log, from, options) {
    for await (const each of store.read(log, from, options)) {
      if (from++ === 1) throw dataLoss("row 7 has a wrong checksum", { reason: "STORE", metadata: {} });
      yield each;
    }
  };
  const failure = await failureOf(createThreads({ store: { ...store, read } }).verify("plan"));
  expect(failure.rawMessage).toBe('thread "plan" is damaged at entry 1: row 7 has a wrong checksum');
});

const listeners = new Set<Listener>();
afterAll(() => Promise.all([...listeners].map((listener) => listener.close())));

/** A server that gives these entries for any thread, and says that they are all. */
async function liar(entries: ThreadEntry[]) {
  const { handle } = createRpcHandler({
    routes: (router) =>
      router.service(MemoryService, {
        read: ({ fromNumber }) => ({ entries: entries.slice(fromNumber), length: entries.length }),
      }),
  });
  const listener = createListener({ onRequest: handle });
  listeners.add(listener);
  const { port } = await listener.listen("127.0.0.1", 0);
  return clientOf({ url: `http://127.0.0.1:${port}` }).memory("plan");
}

test("who walks the chain itself finds a server out that gives other entries", async () => {
  const { entries } = await threeEntries();
  const [zero, one, two] = entries;
  if (zero === undefined || one === undefined || two === undefined) throw new Error("there are three");
  const known = { number: 1, sha256: one.sha256 };
  expect(await (await liar(entries)).verify({ known })).toEqual({ first: 0, length: 3, sha256: two.sha256 });
  expect(await (await liar(entries)).verify({ from: 1, known })).toEqual({ first: 1, length: 3, sha256: two.sha256 });

  const changed = await liar([zero, { ...one, content: "uno" }, two]);
  await expect(changed.verify()).rejects.toThrow(/"plan" is damaged at entry 1: its hash is not that of what it says/);
  const left = await liar([zero, two]);
  await expect(left.verify()).rejects.toThrow(/"plan" is damaged at entry 1: there is entry 2 in its place/);

  // A chain that was written anew is whole: only whoever knows an entry of before can tell.
  const threads = createThreads({ store: createMemoryStore() });
  await threads.append("plan", [{ content: "null" }, { content: "eins" }], { author: anonymous });
  const anew = await liar([...(await threads.read("plan")).entries]);
  expect(await anew.verify()).toMatchObject({ length: 2 });
  await expect(anew.verify({ known })).rejects.toThrow(/"plan" is damaged at entry 1: it is another entry than was known/);
  const short = await liar([zero]);
  await expect(short.verify({ known })).rejects.toThrow(/"plan" is damaged at entry 1: it is missing, and entry 1 was known/);
  await expect(short.verify({ from: 2, known })).rejects.toThrow(RangeError);
});

test("a thread whose beginning was trimmed is whole from there on; what is gone is OUT_OF_RANGE", async () => {
  const { store, thread, entries } = await threeEntries();
  await store.trim("thread/plan", 2);
  expect(await thread.verifyAtServer()).toEqual({ first: 2, length: 3, sha256: entries[2]?.sha256 });
  expect(await thread.verify({ from: 2 })).toEqual({ first: 2, length: 3, sha256: entries[2]?.sha256 });
  for (const from of [0, 1]) {
    expect(await failureOf(collect(thread.read({ from })))).toMatchObject({
      code: 11,
      rawMessage: `entry ${from} of thread "plan" is not kept any more`,
    });
    expect(await failureOf(collect(thread.tail({ from })))).toMatchObject({ code: 11 });
  }
  const later = createThreads({ store }); // knows no more than what is kept
  const [three] = await later.append("plan", [{ content: "three" }], { author: anonymous });
  expect(three).toMatchObject({ number: 3, previousSha256: entries[2]?.sha256 });
  expect(await later.verify("plan")).toMatchObject({ first: 2, length: 4 });
});

test("nobody can go on from a last entry that is not kept", async () => {
  const { store } = await threeEntries();
  await store.trim("thread/plan", 3);
  const threads = createThreads({ store });
  expect(await threads.verify("plan")).toEqual({ first: 3, length: 3, sha256: "" });
  const failure = await failureOf(threads.append("plan", [{ content: "three" }], { author: anonymous }));
  expect(failure.code).toBe(9);
  expect(failure.findDetails(PreconditionFailureSchema)[0]?.violations).toMatchObject([
    { type: "THREAD_TRIMMED", subject: "plan" },
  ]);
});
