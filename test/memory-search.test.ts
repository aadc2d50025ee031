import { createMemoryStore, createThreads, type Store, type Threads } from "../src/index.ts";
import { clientOf, codeOf, failureOf } from "./support/memory.ts";
import { startServer } from "./support/server.ts";

const ana = { name: "spiffe://example.org/agent/ana", proof: "mtls" } as const;
const ben = { name: "https://issuer.example#ben", proof: "token" } as const;
const opened = new Set<Threads>();

afterAll(() => {
  for (const threads of opened) threads.close();
});

function open(options: { store?: Store; maxSearchIndexBytes?: number } = {}): Threads {
  const { store = createMemoryStore(), maxSearchIndexBytes = 1024 * 1024 } = options;
  const threads = createThreads({ store, limits: { maxThreadEntries: 10_000, maxSearchIndexBytes } });
  opened.add(threads);
  return threads;
}

async function found(threads: Threads, query: Parameters<Threads["search"]>[0]): Promise<string[]> {
  const { results } = await threads.search(query);
  return results.map(({ thread, entry }) => `${thread}#${entry.number}`);
}

let zoo: Threads;

beforeAll(async () => {
  zoo = open();
  await zoo.append(
    "zoo/cats",
    [{ content: "The quick brown fox" }, { kind: "answer", content: "A lazy brown dog — naïve café" }],
    { author: ana },
  );
  await zoo.append("zoo/birds", [{ content: "brown: the owl, the Owl, an OWL" }, { content: "NEAR the nest OR AND NOT" }], {
    author: ben,
  });
  await zoo.append("zoom", [{ content: "brown lens; C++ and x-ray, 日本語 mixed with 😀, price 3.50" }], { author: ana });
  await zoo.append("odd", [{ content: 'a "quoted" it\'s 100% \0 nul* (paren) ^caret {brace} col:umn' }], { author: ana });
});

test.each<[query: string, hits: string[]]>([
  ["fox", ["zoo/cats#0"]],
  ["FOX", ["zoo/cats#0"]],
  ["naive CAFÉ", ["zoo/cats#1"]],
  ["brown fox", ["zoo/cats#0"]],
  ["fox whale", []],
  ['"brown fox"', ["zoo/cats#0"]],
  ['"fox brown"', []],
  ['"brown fox', ["zoo/cats#0"]],
  ["brown -fox -owl -lens", ["zoo/cats#1"]],
  ['brown -"quick brown" -dog -lens', ["zoo/birds#0"]],
  ["NEAR", ["zoo/birds#1"]],
  ["NEAR(the nest)", ["zoo/birds#1"]],
  ["NOT AND OR", ["zoo/birds#1"]],
  ["fox OR owl", []],
  ["content:fox", []],
  ["col:umn", ["odd#0"]],
  ["{content}: fox", []],
  ["fo*", []],
  ["^the", ["zoo/birds#0", "zoo/birds#1", "zoo/cats#0"]],
  ["x-ray", ["zoom#0"]],
  ["C++", ["zoom#0"]],
  ["日本語", ["zoom#0"]],
  ["😀 lens", ["zoom#0"]],
  ["3.50", ["zoom#0"]],
  ["it's 100%", ["odd#0"]],
  ['a ""quoted""', ["odd#0"]],
  ["nul", ["odd#0"]],
  ["fox\0", ["zoo/cats#0"]],
  ["fo\0x", []],
  ["fox\ud800", ["zoo/cats#0"]],
  ["(fox", ["zoo/cats#0"]],
  ["fox)", ["zoo/cats#0"]],
  ["fox; DROP TABLE entries; --", []],
  ["' OR 1=1 --", []],
  ['fox - + ... ☃ * " "', ["zoo/cats#0"]],
  ["--fox brown lazy", ["zoo/cats#1"]],
  ["fox\\", ["zoo/cats#0"]],
])("the query %j finds %j", async (query, hits) => {
  expect((await found(zoo, { query })).sort()).toEqual(hits);
});

test.each([
  "",
  " ",
  '"',
  '""',
  "-",
  "--",
  "-fox",
  '-"brown fox"',
  "...",
  "☃",
  "\0",
  "\ud800",
  "*",
  "()",
  "x".repeat(1_025),
  "fox ".repeat(33),
])("the query %j looks for nothing, or too much: INVALID_ARGUMENT", async (query) => {
  const failure = await failureOf(zoo.search({ query }));
  expect(failure.code).toBe(3);
  expect(failure.rawMessage).toMatch(/^query /);
});

test("filters hold together: thread, prefix of threads, kind, author", async () => {
  const query = "brown";
  expect((await found(zoo, { query })).sort()).toEqual(["zoo/birds#0", "zoo/cats#0", "zoo/cats#1", "zoom#0"]);
  expect((await found(zoo, { query, threadPrefix: "zoo" })).sort()).toEqual([
    "zoo/birds#0",
    "zoo/cats#0",
    "zoo/cats#1",
    "zoom#0",
  ]);
  expect((await found(zoo, { query, threadPrefix: "zoo/" })).sort()).toEqual(["zoo/birds#0", "zoo/cats#0", "zoo/cats#1"]);
  expect((await found(zoo, { query, thread: "zoo/cats" })).sort()).toEqual(["zoo/cats#0", "zoo/cats#1"]);
  expect(await found(zoo, { query, thread: "zoo" })).toEqual([]);
  expect(await found(zoo, { query, thread: "zoom", threadPrefix: "zoo/" })).toEqual([]);
  expect(await found(zoo, { query, kind: "answer" })).toEqual(["zoo/cats#1"]);
  expect(await found(zoo, { query, author: ben.name })).toEqual(["zoo/birds#0"]);
  expect(await found(zoo, { query, author: "ben' OR '1'='1" })).toEqual([]);
  expect(await found(zoo, { query, threadPrefix: "zoo%" })).toEqual([]);
  for (const wrong of [{ thread: "a b" }, { threadPrefix: "é" }, { kind: "x".repeat(65) }, { limit: 101 }, { limit: -1 }]) {
    expect(await codeOf(zoo.search({ query, ...wrong }))).toBe("InvalidArgument");
  }
});

test("the best come first, at most as many as were asked for, each with its score and a snippet", async () => {
  const threads = open();
  const filler = Array.from({ length: 60 }, (_, index) => `word${index}`).join(" ");
  const contents = [`owl ${filler}`, filler, `owl owl owl ${filler}`, "owl"];
  await threads.append(
    "birds",
    contents.map((content) => ({ content })),
    { author: ana },
  );
  await threads.append("long", [{ content: `${filler} the needle ${filler}` }, { content: `eagle${"e".repeat(5_000)}😀 x` }], {
    author: ana,
  });
  const { results, partial } = await threads.search({ query: "owl", limit: 2 });
  expect(partial).toBe(false);
  expect(results.map(({ entry }) => entry.number)).toEqual([3, 2]);
  expect(results[0]?.score).toBeGreaterThan(results[1]?.score ?? Number.NaN);
  expect(results[0]).toMatchObject({ thread: "birds", snippet: "owl", entry: { content: "owl", author: { name: ana.name } } });
  const [needle] = (await threads.search({ query: "needle" })).results;
  expect(needle?.snippet).toMatch(/^….* the needle .*…$/);
  expect(needle?.snippet.split(" ").length).toBeLessThan(30);
  const [eagle] = (await threads.search({ query: "x" })).results;
  expect(eagle?.snippet.length).toBeLessThanOrEqual(400);
});

test("a search sees all that was appended before it, here or by another server of the store", async () => {
  const store = createMemoryStore();
  const [one, other] = [open({ store }), open({ store })];
  for (let number = 0; number < 20; number++) {
    await one.append(`thread-${number % 3}`, [{ content: `needle${number}` }], { author: ana });
    expect(await found(other, { query: `needle${number}` })).toHaveLength(1);
  }
  const all = Array.from({ length: 20 }, async (_, number) => {
    await other.append("crowd", [{ content: `straw${number}` }], { author: ben });
    return found(one, { query: `straw${number}` });
  });
  for (const hits of await Promise.all(all)) expect(hits).toHaveLength(1);
});

test("an index that is full forgets what it took in first, and says so", async () => {
  const threads = open({ maxSearchIndexBytes: 6_000 });
  const contents = Array.from({ length: 30 }, (_, number) => `needle number${number}`);
  await threads.append(
    "plan",
    contents.slice(0, 10).map((content) => ({ content })),
    { author: ana },
  );
  expect(await threads.search({ query: "number0" })).toMatchObject({ results: [{}], partial: false });
  await threads.append(
    "plan",
    contents.slice(10).map((content) => ({ content })),
    { author: ana },
  );
  expect(await threads.search({ query: "number0" })).toEqual({ results: [], partial: true });
  expect(await threads.search({ query: "number29" })).toMatchObject({ results: [{ entry: { number: 29 } }], partial: true });
});

test("entries that were trimmed are not found; those that are kept are, also by who begins then", async () => {
  const store = createMemoryStore();
  const threads = open({ store });
  await threads.append(
    "plan",
    ["owl 0", "owl 1", "owl 2"].map((content) => ({ content })),
    { author: ana },
  );
  expect(await found(threads, { query: "owl" })).toHaveLength(3);
  await store.trim("thread/plan", 2);
  expect(await found(threads, { query: "owl" })).toEqual(["plan#2"]);
  expect(await found(open({ store }), { query: "owl" })).toEqual(["plan#2"]);
});

test("a thread that is damaged is searched up to the damage, the others whole, and the answer says so", async () => {
  const store = createMemoryStore();
  const threads = open({ store });
  await threads.append("bad", [{ content: "owl 0" }], { author: ana });
  await store.append("thread/bad", [new Uint8Array([255])]);
  await threads.append("good", [{ content: "owl 1" }], { author: ana });
  for (let again = 0; again < 2; again++) {
    const { results, partial } = await threads.search({ query: "owl" });
    expect([results.map(({ thread }) => thread).sort(), partial]).toEqual([["bad", "good"], true]);
  }
  expect(await threads.search({ query: "owl", thread: "good" })).toMatchObject({ results: [{}], partial: false });
});

test("a thread that began anew is taken in anew", async () => {
  const stores = [createMemoryStore(), createMemoryStore()] as const;
  let current: Store = stores[0];
  const store: Store = {
    ...stores[0],
    append: (...args) => current.append(...args),
    read: (...args) => current.read(...args),
    logs: (...args) => current.logs(...args),
  };
  const threads = open({ store });
  await threads.append("plan", [{ content: "owl 0" }, { content: "owl 1" }], { author: ana });
  expect(await found(threads, { query: "owl" })).toHaveLength(2);
  current = stores[1];
  await threads.append("plan", [{ content: "fox" }], { author: ana });
  expect(await found(threads, { query: "owl" })).toEqual([]);
  expect(await found(threads, { query: "fox" })).toEqual(["plan#0"]);
});

test("the event loop goes on while much is taken in and searched", async () => {
  const threads = open({ maxSearchIndexBytes: 64 * 1024 * 1024 });
  const words = Array.from({ length: 150 }, (_, index) => `word${index}`).join(" ");
  for (let thread = 0; thread < 20; thread++) {
    const entries = Array.from({ length: 100 }, (_, index) => ({ content: `${words} ${thread} ${index}` }));
    await threads.append(`thread-${thread}`, entries, { author: ana });
  }
  let turns = 0;
  let next: NodeJS.Immediate | undefined;
  const turn = () => {
    turns++;
    next = setImmediate(turn);
  };
  turn();
  const { results } = await threads.search({ query: "word1 word2 word3", limit: 100 });
  clearImmediate(next);
  expect(results).toHaveLength(100);
  expect(turns).toBeGreaterThan(20); // one a thread at least
});

test("a client searches its thread, those below its name, or all", async () => {
  const agents = clientOf(await startServer());
  for (const thread of ["a", "a/b", "c"]) await agents.memory(thread).append({ content: "owl", kind: thread });
  const threadsOf = async (search: ReturnType<ReturnType<typeof agents.memory>["search"]>) =>
    (await search).results.map(({ thread }) => thread).sort();
  expect(await threadsOf(agents.memory("a").search("owl"))).toEqual(["a"]);
  expect(await threadsOf(agents.memory("a").search("owl", { prefix: true }))).toEqual(["a", "a/b"]);
  expect(await threadsOf(agents.memory().search("owl"))).toEqual(["a", "a/b", "c"]);
  expect(await threadsOf(agents.memory().search("owl", { kind: "c" }))).toEqual(["c"]);
  expect(await threadsOf(agents.memory().search("owl", { author: "nobody" }))).toEqual([]);
  expect(await codeOf(agents.memory().search('"'))).toBe("InvalidArgument");
});
