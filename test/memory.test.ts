import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, PreconditionFailureSchema } from "../gen/google/rpc/error_details_pb.js";
import { MemoryService, Proof } from "../src/contract/index.ts";
import { memoryBounds } from "../src/core/index.ts";
import { type CertificatePair, issueCertificate } from "../src/identity/index.ts";
import {
  connect,
  createMemoryStore,
  createThreads,
  definePolicy,
  type EntryInit,
  type EntryInput,
  type Store,
} from "../src/index.ts";
import { createTransport } from "../src/wire/index.ts";
import { exampleAuthority } from "./support/authority.ts";
import { clientOf, codeOf, collect, contentsOf, failureOf } from "./support/memory.ts";
import { listen } from "./support/process.ts";
import { losesConnections, startServer } from "./support/server.ts";

const ana = { name: "spiffe://example.org/agent/ana", proof: "mtls" } as const;
const ben = { name: "https://issuer.example#ben", proof: "token" } as const;

test("what one caller appends another reads, with all that was said of it", async () => {
  const server = await startServer();
  const [one, other] = [clientOf(server), clientOf(server)];
  const before = Date.now();
  const appended = await one.memory("plan").append({
    id: "key-1",
    kind: "answer",
    content: "Tuesday at ten\n",
    metadata: { place: "Zürich" },
    origin: { taskId: "task-1", agent: "scheduler" },
  });
  const [entry] = await collect(other.memory("plan").read());
  expect(entry).toEqual(appended);
  expect(entry).toMatchObject({
    number: 0,
    id: "key-1",
    author: { name: "anonymous", proof: Proof.NONE },
    kind: "answer",
    content: "Tuesday at ten\n",
    metadata: { place: "Zürich" },
    origin: { taskId: "task-1", agent: "scheduler" },
  });
  const timeMs = Number(entry?.appendTime?.seconds) * 1_000 + Number(entry?.appendTime?.nanos) / 1e6;
  expect(timeMs).toBeGreaterThanOrEqual(before);
  expect(timeMs).toBeLessThanOrEqual(Date.now());
  expect(await one.memory("plan").append("more")).toMatchObject({
    number: 1,
    kind: "note",
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
  expect(await collect(one.memory("plan/b").read())).toEqual([]);
});

test("curl reads and appends in JSON; the server makes the id that is not given", async () => {
  const { url } = await startServer();
  const ask = async (method: string, body: object) => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/agent.v1.MemoryService/${method}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  };
  expect(await ask("Append", { thread: "plan", entries: [{ content: "hello" }] })).toMatchObject({
    status: 200,
    body: {
      entries: [
        {
          id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          author: { name: "anonymous", proof: "PROOF_NONE" },
          kind: "note",
          content: "hello",
        },
      ],
    },
  });
  expect(await ask("Read", { thread: "plan" })).toMatchObject({
    body: { entries: [{ content: "hello" }], nextNumber: 1, length: 1 },
  });
  expect(await ask("Append", { thread: "plan", entries: [{ content: "\ud800" }] })).toMatchObject({
    status: 400,
    body: { code: "invalid_argument", message: expect.stringContaining("invalid UTF8") },
  });
});

test.each(["grpc", "grpc-web", "connect"] as const)("%s carries every method", async (protocol) => {
  const { url } = await startServer();
  const agents = connect({ url, protocol });
  const thread = agents.memory("plan");
  await thread.appendAll(["red fox", "blue whale"]);
  expect(await contentsOf(thread.read())).toEqual(["red fox", "blue whale"]);
  for await (const entry of thread.tail({ from: 1 })) {
    expect(entry.content).toBe("blue whale");
    break;
  }
  expect((await thread.search("fox")).results.map(({ snippet }) => snippet)).toEqual(["red fox"]);
  expect(await thread.verifyAtServer()).toMatchObject({ length: 2 });
  expect(await thread.verify()).toMatchObject({ length: 2 });
  agents.close();
});

test("an entry that is sent again is not appended again; its id stands for nothing else", async () => {
  const thread = clientOf(await startServer()).memory("plan");
  const entry = { id: "a", content: "one", kind: "note", metadata: { x: "1", y: "2" } };
  const first = await thread.append(entry);
  expect(await thread.append({ ...entry, metadata: { y: "2", x: "1" } })).toEqual(first);
  const changes: EntryInput[] = [
    { ...entry, content: "two" },
    { ...entry, kind: "answer" },
    { ...entry, metadata: {} },
    { ...entry, origin: { taskId: "task", agent: "" } },
  ];
  for (const changed of changes) {
    const failure = await failureOf(thread.append(changed));
    expect(failure).toMatchObject({ code: 6, rawMessage: 'the id "a" stands for another entry of thread "plan", number 0' });
    expect(failure.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "ENTRY_ID_REUSED", metadata: { thread: "plan", id: "a", number: "0" } },
    ]);
  }
  expect(await thread.appendAll([{ id: "b", content: "two" }, entry])).toMatchObject([{ number: 1 }, { number: 0 }]);
  expect(await contentsOf(thread.read())).toEqual(["one", "two"]);
});

test("of another author the same entry is another one", async () => {
  const threads = createThreads({ store: createMemoryStore() });
  const entries = [{ id: "a", content: "one" }];
  await threads.append("plan", entries, { author: ana });
  expect(await codeOf(threads.append("plan", entries, { author: ben }))).toBe("AlreadyExists");
  expect(await threads.append("plan", entries, { author: ana })).toHaveLength(1);
});

test("several are appended or none", async () => {
  const thread = clientOf(await startServer()).memory("plan");
  await thread.append({ id: "a", content: "one" });
  const mixed = [
    { id: "b", content: "two" },
    { id: "a", content: "other" },
  ];
  expect(await codeOf(thread.appendAll(mixed))).toBe("AlreadyExists");
  expect(await contentsOf(thread.read())).toEqual(["one"]);
});

test("a thread of another length than expected is left alone, and its length told", async () => {
  const thread = clientOf(await startServer()).memory("plan");
  const entry = { id: "a", content: "one" };
  await thread.append(entry, { expectedLength: 0 });
  const failure = await failureOf(thread.append("two", { expectedLength: 0 }));
  expect(failure.code).toBe(9);
  expect(failure.findDetails(PreconditionFailureSchema)[0]?.violations).toMatchObject([
    { type: "THREAD_LENGTH", subject: "plan", description: expect.stringContaining("has 1 entries and not 0") },
  ]);
  expect(await thread.append(entry, { expectedLength: 0 })).toMatchObject({ number: 0 }); // it was taken then
  expect(await thread.append("two", { expectedLength: 1 })).toMatchObject({ number: 1 });
});

/** Twenty appenders, each with its own entries and all with some that they share, at these servers by turns. */
async function crowd(threads: readonly ReturnType<typeof clientOf>[]): Promise<void> {
  const appenders = Array.from({ length: 20 }, async (_, appender) => {
    const thread = threads[appender % threads.length]?.memory("plan");
    for (let number = 0; number < 5; number++) {
      await thread?.appendAll([
        { id: `own-${appender}-${number}`, content: `${appender}: ${number}` },
        { id: `shared-${number}`, content: `all: ${number}` },
      ]);
    }
  });
  await Promise.all(appenders);
}

test.each([1, 2])("twenty appenders at once, at %d servers on one store, append each entry once", async (servers) => {
  const store = createMemoryStore();
  const clients = await Promise.all(
    Array.from({ length: servers }, async () => clientOf(await startServer({ memory: { store } }))),
  );
  await crowd(clients);
  await crowd(clients); // all of it again
  for (const client of clients) {
    const entries = await collect(client.memory("plan").read());
    expect(entries.map(({ number }) => number)).toEqual(Array.from({ length: 105 }, (_, number) => number));
    expect(new Set(entries.map(({ id }) => id)).size).toBe(105);
    for (let appender = 0; appender < 20; appender++) {
      const own = entries.filter(({ id }) => id.startsWith(`own-${appender}-`)).map(({ content }) => content);
      expect(own).toEqual([0, 1, 2, 3, 4].map((number) => `${appender}: ${number}`));
    }
    expect(await client.memory("plan").verify()).toMatchObject({ length: 105 });
  }
});

test("an append whose answer was lost is found by whoever sends it again, at any server", async () => {
  const store = createMemoryStore();
  const append: Store["append"] = async (...args) => {
    await store.append(...args);
    throw new ConnectError("the store is away", Code.Unavailable);
  };
  const entries: EntryInit[] = [
    { id: "task/0", content: "one" },
    { id: "task/1", content: "two" },
  ];
  const broken = createThreads({ store: { ...store, append } });
  expect(await codeOf(broken.append("plan", entries, { author: ana }))).toBe("Unavailable");
  const numbers = (appended: readonly { number: number }[]) => appended.map(({ number }) => number);
  expect(numbers(await broken.append("plan", entries, { author: ana }))).toEqual([0, 1]);
  expect(numbers(await createThreads({ store }).append("plan", entries, { author: ana }))).toEqual([0, 1]);
});

test("others that always come first are UNAVAILABLE in the end, and nothing is appended", async () => {
  const store = createMemoryStore();
  let races = 0;
  const others = createThreads({ store });
  const append: Store["append"] = async (log, entries, options) => {
    await others.append("plan", [{ content: `other ${races++}` }], { author: ben });
    return store.append(log, entries, options);
  };
  const failure = await failureOf(
    createThreads({ store: { ...store, append } }).append("plan", [{ id: "mine", content: "mine" }], { author: ana }),
  );
  expect(failure).toMatchObject({ code: 14, rawMessage: expect.stringContaining("append again") });
  expect(races).toBe(memoryBounds.maxAppendAttempts);
  expect((await others.read("plan")).length).toBe(races);
});

test("a log that began anew, as a store may forget what was trimmed, is a thread that begins anew", async () => {
  const [first, second] = [createMemoryStore(), createMemoryStore()];
  let current = first;
  const store: Store = { ...first, append: (...args) => current.append(...args), read: (...args) => current.read(...args) };
  const threads = createThreads({ store });
  await threads.append("plan", [{ content: "one" }, { content: "two" }], { author: ana });
  current = second;
  expect(await threads.append("plan", [{ content: "three" }], { author: ana })).toMatchObject([
    { number: 0, previousSha256: "" },
  ]);
});

test("pages follow each other to the end that there is; beyond it there is nothing", async () => {
  const server = await startServer();
  const thread = clientOf(server).memory("plan");
  const contents = Array.from({ length: 250 }, (_, number) => `entry ${number}`);
  for (const at of [0, 100, 200]) await thread.appendAll(contents.slice(at, at + 100));
  expect(await contentsOf(thread.read())).toEqual(contents);
  expect(await contentsOf(thread.read({ from: 240 }))).toEqual(contents.slice(240));
  expect(await contentsOf(thread.read({ from: 10, limit: 3 }))).toEqual(contents.slice(10, 13));
  const transport = createTransport({ baseUrl: server.url });
  const client = createClient(MemoryService, transport);
  for (const [fromNumber, limit, count, nextNumber] of [
    [0, 0, 100, 100],
    [0, 250, 250, 250],
    [0, 1_000, 250, 250],
    [249, 1, 1, 250],
    [250, 10, 0, 250],
    [4_000_000_000, 0, 0, 250],
  ] as const) {
    const page = await client.read({ thread: "plan", fromNumber, limit });
    expect([page.entries.length, page.nextNumber, page.length]).toEqual([count, nextNumber, 250]);
  }
  transport.close();
});

test("a page ends early when it is long, and is never empty for that", async () => {
  const threads = createThreads({ store: createMemoryStore() });
  const content = "x".repeat(memoryBounds.maxContentBytes);
  for (let number = 0; number < 6; number++) await threads.append("plan", [{ content }], { author: ana });
  expect(await threads.read("plan")).toMatchObject({ next: 4, length: 6 });
  expect(await threads.read("plan", { from: 4 })).toMatchObject({ next: 6, length: 6 });
});

test("a tail gives what is there, then what comes, from any server of the store, until it is left", async () => {
  const store = createMemoryStore();
  const [one, other] = await Promise.all([0, 1].map(async () => clientOf(await startServer({ memory: { store } }))));
  if (one === undefined || other === undefined) throw new Error("there are two");
  await one.memory("plan").appendAll(["0", "1", "2"]);
  const seen: string[] = [];
  for await (const { content, number } of other.memory("plan").tail({ from: 1 })) {
    seen.push(content);
    if (number === 9) break;
    if (number >= 2) await one.memory("plan").append(String(number + 1));
  }
  expect(seen).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
});

test("a tail of what is not there yet waits for it, and an abort ends it", async () => {
  const thread = clientOf(await startServer()).memory("plan");
  const stopped = new AbortController();
  const tail = thread.tail({ from: 1, signal: stopped.signal })[Symbol.asyncIterator]();
  const next = tail.next();
  await thread.appendAll(["0", "1"]);
  expect((await next).value).toMatchObject({ number: 1, content: "1" });
  const waiting = codeOf(tail.next());
  stopped.abort();
  expect(await waiting).toBe("Canceled");
});

test("a server that drains ends its tails, and does not wait for them", async () => {
  const server = await startServer();
  const thread = clientOf(server).memory("plan");
  await thread.append("0");
  const tail = thread.tail()[Symbol.asyncIterator]();
  await tail.next();
  const waiting = codeOf(tail.next());
  await server.close({ graceMs: 25_000 });
  expect(await waiting).toBe("Unavailable");
});

test("a thread that is full takes no more, until some of it is trimmed", async () => {
  const store = createMemoryStore();
  const threads = createThreads({ store, limits: { maxThreadEntries: 3, maxSearchIndexBytes: 1_000 } });
  await threads.append("plan", [{ content: "0" }, { content: "1" }, { id: "2", content: "2" }], { author: ana });
  expect(await codeOf(threads.append("plan", [{ content: "3" }], { author: ana }))).toBe("ResourceExhausted");
  expect(await threads.append("plan", [{ id: "2", content: "2" }], { author: ana })).toMatchObject([{ number: 2 }]);
  await store.trim("thread/plan", 1);
  expect(await threads.append("plan", [{ content: "3" }], { author: ana })).toMatchObject([{ number: 3 }]);
});

const long = (chars: number) => "x".repeat(chars);
const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));

test.each<[thread: string, entries: EntryInit[], fields: string[]]>([
  ["", [{ content: "a" }], ["thread"]],
  ["two words", [{ content: "a" }], ["thread"]],
  ["Zürich", [{ content: "a" }], ["thread"]],
  [long(129), [{ content: "a" }], ["thread"]],
  ["t", [], ["entries"]],
  ["t", Array.from({ length: 101 }, () => ({ content: "a" })), ["entries"]],
  ["t", Array.from({ length: 9 }, () => ({ content: long(256 * 1024) })), ["entries"]],
  ["t", [{ content: "" }], ["entries[0].content"]],
  ["t", [{ content: "a" }, { content: long(256 * 1024 + 1) }], ["entries[1].content"]],
  ["t", [{ content: "é".repeat(128 * 1024 + 1) }], ["entries[0].content"]],
  ["t", [{ content: "a\udc00" }], ["entries[0].content"]],
  ["t", [{ id: "a b", content: "a" }], ["entries[0].id"]],
  ["t", [{ id: long(129), content: "a" }], ["entries[0].id"]],
  [
    "t",
    [
      { id: "a", content: "a" },
      { id: "a", content: "a" },
    ],
    ["entries[1].id"],
  ],
  [
    "t",
    [
      { kind: "a\n", content: "a" },
      { kind: long(65), content: "a" },
    ],
    ["entries[0].kind", "entries[1].kind"],
  ],
  ["t", [{ content: "a", metadata: pairs(33) }], ["entries[0].metadata"]],
  ["t", [{ content: "a", metadata: { "": "v" } }], ["entries[0].metadata"]],
  ["t", [{ content: "a", metadata: { é: "v" } }], ["entries[0].metadata"]],
  ["t", [{ content: "a", metadata: { [long(129)]: "v" } }], ["entries[0].metadata"]],
  ["t", [{ content: "a", metadata: { k: long(1_025) } }], ['entries[0].metadata["k"]']],
  ["t", [{ content: "a", metadata: { k: "\ud800" } }], ['entries[0].metadata["k"]']],
  [
    "t",
    [{ content: "a", origin: { taskId: "a b", agent: long(129) } }],
    ["entries[0].origin.task_id", "entries[0].origin.agent"],
  ],
])("bad input %#: INVALID_ARGUMENT names each field", async (thread, entries, fields) => {
  const threads = createThreads({ store: createMemoryStore() });
  const failure = await failureOf(threads.append(thread, entries, { author: ana }));
  expect(failure.code).toBe(3);
  const violations = failure.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  expect(violations.map(({ field }) => field)).toEqual(fields);
});

test("what is just within the bounds is taken, and comes back over the wire", async () => {
  const thread = clientOf(await startServer()).memory(long(128));
  const entry = {
    id: long(128),
    kind: long(64),
    content: long(256 * 1024),
    metadata: { ...pairs(31), [long(128)]: "é".repeat(1_024) },
  };
  await thread.append(entry);
  expect(await collect(thread.read())).toMatchObject([entry]);
  const many = Array.from({ length: 100 }, () => ({ content: long(20 * 1024) }));
  expect(await thread.appendAll(many)).toHaveLength(100);
});

test("reads, tails and walks are bounded alike", async () => {
  const client = clientOf(await startServer());
  for (const thread of [client.memory(), client.memory("two words"), client.memory(long(129))]) {
    expect(await codeOf(collect(thread.read()))).toBe("InvalidArgument");
    expect(await codeOf(collect(thread.tail()))).toBe("InvalidArgument");
    expect(await codeOf(thread.verifyAtServer())).toBe("InvalidArgument");
  }
  const threads = createThreads({ store: createMemoryStore() });
  for (const page of [{ from: -1 }, { from: 0.5 }, { limit: -1 }, { limit: 1_001 }]) {
    expect(await codeOf(threads.read("plan", page))).toBe("InvalidArgument");
  }
});

describe("who appends, and who may", () => {
  let authority: CertificatePair;
  let server: CertificatePair;
  beforeAll(async () => {
    authority = await exampleAuthority();
    server = await issueCertificate(authority, { name: "server" });
  });

  async function startGuarded() {
    const memory = "agent.v1.MemoryService";
    const policy = definePolicy([
      { callers: ["spiffe://example.org/agent/ana"], methods: [`${memory}/*`] },
      { callers: ["spiffe://example.org/agent/ben"], methods: [`${memory}/Read`] },
    ]);
    return startServer({
      access: { trustDomains: ["example.org"], policy },
      tls: { cert: server.certificate, key: server.key, clientCa: authority.certificate },
    });
  }

  async function threadOf({ port }: { port: number }, name: string) {
    const { certificate, key } = await issueCertificate(authority, { name });
    const agents = connect({ url: `https://localhost:${port}`, tls: { ca: authority.certificate, cert: certificate, key } });
    return { thread: agents.memory("plan"), close: () => agents.close() };
  }

  test("the author is who the certificate names, and the policy decides by method", async () => {
    const started = await startGuarded();
    const [one, other] = [await threadOf(started, "ana"), await threadOf(started, "ben")];
    await one.thread.append({ content: "mine", metadata: { author: "ben" } });
    const [entry] = await collect(other.thread.read());
    expect(entry?.author).toMatchObject({ name: "spiffe://example.org/agent/ana", proof: Proof.MTLS });
    expect(await codeOf(other.thread.append("mine too"))).toBe("PermissionDenied");
    expect(await codeOf(other.thread.search("mine"))).toBe("PermissionDenied");
    expect(await codeOf(collect(other.thread.tail()))).toBe("PermissionDenied");
    one.close();
    other.close();
  });
});

test("a server can do without memory, and a server of memory without agents", async () => {
  const without = clientOf(await startServer({ memory: false }));
  expect(await codeOf(without.memory("plan").append("a"))).toBe("Unimplemented");
  const alone = clientOf(await startServer({ agents: [], memory: true }));
  expect(await alone.memory("plan").append("a")).toMatchObject({ number: 0 });
  expect(await codeOf(alone.process("a"))).toBe("Unimplemented");
});

test("callers that balance send an append again, as its entries have ids", async () => {
  const store = createMemoryStore();
  const lossy = losesConnections();
  const url = await listen(lossy);
  const good = await startServer({ memory: { store } });
  const agents = connect({ urls: [`http://${url}`, good.url] });
  for (let number = 0; number < 10; number++) await agents.memory("plan").append(String(number));
  expect(await contentsOf(clientOf(good).memory("plan").read())).toEqual(
    Array.from({ length: 10 }, (_, number) => String(number)),
  );
  agents.close();
});
