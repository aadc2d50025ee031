import { createMemoryStore, type Server, type Store } from "../src/index.ts";
import { clientOf } from "./support/memory.ts";
import { convoke, runConvoke } from "./support/process.ts";
import { startServer } from "./support/server.ts";

let server: Server;
let store: Store;

beforeAll(async () => {
  store = createMemoryStore();
  server = await startServer({ memory: { store } });
});

const mark = /^\d+:[0-9a-f]{64}\n$/;
const head = (number: number, kind: string) => `#${number}  \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z  ${kind}  anonymous\\n`;

async function memory(...args: string[]) {
  const [part = "", ...rest] = args;
  return runConvoke(["memory", part, server.url, ...rest]);
}

test("append prints number and hash, read what was appended", async () => {
  const first = await memory("append", "plan", "Tuesday at ten");
  expect(first).toEqual({ code: 0, stdout: expect.stringMatching(mark), stderr: "" });
  const text = "two\nlines\n";
  const second = await runConvoke(["memory", "append", server.url, "plan", "-k", "answer", "-m", "a=b=c", "-m", "d="], {
    input: text,
  });
  expect(second.stdout).toMatch(/^1:/);
  const third = await memory("append", "plan", "--", "-5 °C \x1b[31m");
  expect(third.stdout).toMatch(/^2:/);
  const { code, stdout } = await memory("read", "plan");
  expect(code).toBe(0);
  expect(stdout).toMatch(
    new RegExp(
      `^${head(0, "note")}    Tuesday at ten\n${head(1, "answer")}    two\n    lines\n${head(2, "note")}    -5 °C \ufffd\\[31m\n$`,
    ),
  );
  const json = await memory("read", "plan", "--from", "1", "--limit", "1", "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({
    number: 1,
    kind: "answer",
    content: "two\nlines",
    metadata: { a: "b=c", d: "" },
  });
  expect((await memory("read", "nothing")).stdout).toBe("");
});

test("an append with an id is taken once; with an expected length only at that length", async () => {
  const args = ["append", "once", "--id", "a", "one"];
  const { stdout } = await memory(...args);
  expect(await memory(...args)).toEqual({ code: 0, stdout, stderr: "" });
  expect(await memory("append", "once", "--id", "a", "two")).toEqual({
    code: 5,
    stdout: "",
    stderr: 'convoke: the id "a" stands for another entry of thread "once", number 0 (already_exists)\n',
  });
  const refused = await memory("append", "once", "--expected-length", "0", "two", "--json");
  expect(refused.code).toBe(5);
  expect(JSON.parse(refused.stderr)).toMatchObject({ code: 9, details: [{ violations: [{ type: "THREAD_LENGTH" }] }] });
  expect((await memory("append", "once", "--expected-length", "1", "two")).stdout).toMatch(/^1:/);
});

test("tail prints the last ones, then those that come, until Ctrl-C", async () => {
  const thread = clientOf(server).memory("news");
  await thread.appendAll(["0", "1", "2"]);
  const tail = convoke(["memory", "tail", server.url, "news", "--last", "2"]);
  await tail.seen(/^#1 [^\n]+\n {4}1\n#2 [^\n]+\n {4}2\n/);
  await thread.append("3");
  await tail.seen(/^#3 [^\n]+\n {4}3\n/);
  tail.child.kill("SIGINT");
  expect(await tail.exit).toMatchObject({ code: 130, stderr: "convoke: cancelled\n" });
  const from = convoke(["memory", "tail", server.url, "news", "--from", "3", "--json"]);
  expect(JSON.parse((await from.seen(/^.+\n/))[0])).toMatchObject({ number: 3, content: "3" });
  from.child.kill("SIGTERM");
  expect((await from.exit).code).toBe(143);
});

test("search prints what fits, the best first", async () => {
  const agents = clientOf(server);
  await agents.memory("zoo/a").append({ kind: "note", content: "an owl" });
  await agents.memory("zoo/b").append({ kind: "answer", content: "owl owl" });
  const all = await memory("search", "owl");
  expect(all).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^zoo\/b#0 {2}[^\n]+\n {4}owl owl\nzoo\/a#0 [^\n]+\n {4}an owl\n$/),
  });
  for (const filter of [
    ["--thread", "zoo/a"],
    ["--kind", "note"],
    ["--prefix", "zoo/a"],
  ]) {
    expect((await memory("search", "owl", ...filter)).stdout).toMatch(/^zoo\/a#0 [^\n]+\n[^\n]+\n$/);
  }
  const json = await memory("search", "owl", "--limit", "1", "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({ results: [{ thread: "zoo/b", entry: { content: "owl owl" } }] });
  expect(await memory("search", "owl", "--author", "nobody")).toMatchObject({ code: 0, stdout: "nothing was found\n" });
  expect(await memory("search", '"')).toMatchObject({
    code: 5,
    stderr: expect.stringContaining("query names nothing to look for"),
  });
});

test("verify tells that a thread is whole, at the server or here, also against what is known", async () => {
  expect(await memory("verify", "whole")).toMatchObject({ code: 0, stdout: "there is no entry\n" });
  const [known = ""] = (await memory("append", "whole", "zero")).stdout.split("\n");
  const last = (await memory("append", "whole", "one")).stdout;
  const whole = { code: 0, stdout: `entries 0 to 1 are whole; the last one is ${last}`, stderr: "" };
  expect(await memory("verify", "whole")).toEqual(whole);
  expect(await memory("verify", "whole", "--local")).toEqual(whole);
  expect(await memory("verify", "whole", "--known", known)).toEqual(whole);
  const json = await memory("verify", "whole", "--json");
  expect(JSON.parse(json.stdout)).toEqual({ length: 2, sha256: last.trim().slice(2) });
  const other = `0:${"0".repeat(64)}`;
  expect(await memory("verify", "whole", "--known", other)).toEqual({
    code: 1,
    stdout: "",
    stderr: 'convoke: thread "whole" is damaged at entry 0: it is another entry than was known (data_loss)\n',
  });
});

test("verify fails for a thread that is damaged, and names the entry", async () => {
  await memory("append", "bad", "zero");
  await store.append("thread/bad", [new Uint8Array([255])]);
  for (const more of [[], ["--local"]]) {
    expect(await memory("verify", "bad", ...more)).toEqual({
      code: 1,
      stdout: "",
      stderr: 'convoke: thread "bad" is damaged at entry 1: its record is no entry (data_loss)\n',
    });
  }
  const json = await memory("verify", "bad", "--json");
  expect(JSON.parse(json.stderr)).toMatchObject({
    code: 15,
    details: [{ reason: "THREAD_DAMAGED", metadata: { thread: "bad", number: "1" } }],
  });
});

test("a thread is the same over every wire, and to whoever finds the server in a registry", async () => {
  const registry = await startServer({ agents: [], registry: true });
  await startServer({ memory: { store }, register: { registry: registry.url } });
  await memory("append", "wires", "here");
  for (const protocol of ["grpc", "grpc-web", "connect"]) {
    expect((await memory("read", "wires", "--protocol", protocol)).stdout).toMatch(/ {4}here\n$/);
  }
  const target = `echo@${new URL(registry.url).host}`;
  expect((await runConvoke(["memory", "read", target, "wires"])).stdout).toMatch(/ {4}here\n$/);
});

test.each<[args: string[], sentence: RegExp]>([
  [["memory", "sing"], /unknown command 'sing'; convoke memory --help shows how/],
  [["memory", "read", "x"], /missing required argument 'thread'/],
  [["memory", "append", "x", "plan", ""], /there is nothing to append; add the text, or give it on standard input/],
  [["memory", "append", "x", "plan", "a", "-m", "b"], /write key=value/],
  [["memory", "append", "x", "plan", "a", "--expected-length", "-1"], /write a whole number of 0 or more/],
  [["memory", "read", "x", "plan", "--from", "4294967296"], /write a whole number of 0 or more/],
  [["memory", "verify", "x", "plan", "--known", "1"], /write number:hash, as append prints it/],
  [
    ["memory", "search", "x", "owl", "--thread", "a", "--prefix", "b"],
    /'--thread <name>' cannot be used with option '--prefix <name>'/,
  ],
  [["memory", "read", "ftp://x", "plan"], /"ftp:\/\/x" is no server/],
])("convoke %j is wrong usage", async (args, sentence) => {
  const { code, stdout, stderr } = await runConvoke(args);
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test.each([
  ["memory", "append"],
  ["agents", "list"],
])("the help of %s %s has the options that both share", async (command, part) => {
  const { code, stdout } = await runConvoke([command, part, "--help"]);
  expect(code).toBe(0);
  const [, shared = ""] = stdout.split("Global Options:");
  for (const option of ["--json", "--tls-ca <file>", "--token <file>"]) expect(shared).toContain(option);
});

test("a server that is not there is 3", async () => {
  expect(await runConvoke(["memory", "read", "127.0.0.1:1", "plan"])).toMatchObject({ code: 3 });
});
