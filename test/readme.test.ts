import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import calculate from "../examples/team/calculate.ts";
import research from "../examples/team/research.ts";
import schedule from "../examples/team/schedule.ts";
import summarize from "../examples/team/summarize.ts";
import triage from "../examples/team/triage.ts";
import { defaultLimits, defineAgent, type Server } from "../src/index.ts";
import { type Answer, begin, calling, finish, saying, send, startModel, toolCallOf } from "./support/model-server.ts";
import { convoke, runConvoke } from "./support/process.ts";
import { registryClient, watchRegistry } from "./support/registry.ts";
import { startServer } from "./support/server.ts";

const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const run = promisify(execFile);

/** The TypeScript of the README, in order, by a word that each piece has. */
function piece(having: string): string {
  const pieces = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
  const found = pieces.filter((code) => code.includes(having));
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} pieces of the README have ${having}`);
  return found[0].replaceAll("http://localhost:50051", server.url).replace("port: 50051", "port: 0");
}

let server: Server;
let folder: string;

beforeAll(async () => {
  server = await startServer({ agents: [triage, schedule, research, calculate, summarize] });
  mkdirSync(join(root, ".cache"), { recursive: true });
  folder = mkdtempSync(join(root, ".cache/readme-")); // within the package, so that "convoke" is the package itself
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the pieces as one program, as built, and gives what it prints. */
async function runPieces(...code: string[]): Promise<string> {
  writeFileSync(join(folder, "shout.ts"), piece("async *run"));
  const file = join(folder, "program.ts");
  writeFileSync(file, code.join("\n"));
  return (await run(process.execPath, [file], { cwd: root, timeout: 20_000 })).stdout;
}

const client = () => `import { connect } from "convoke"; const agents = connect("${server.url}");`;

test("the agent of ten lines is served and answers", async () => {
  const printed = await runPieces(
    piece("await serve("),
    `import { connect } from "convoke";
    const agents = connect(server.url);
    const answer = await agents.process("hello there");
    console.log(answer.content, answer.citations[0].quote);
    agents.close();
    await server.close();`,
  );
  expect(printed).toBe("HELLO THERE  hello there\n");
});

test("the agent with a model answers with what its tool says, and cites it", async () => {
  const line = "The library is open from 9 to 17.";
  const citing: Answer = (response) => {
    begin(response);
    send(response, { content: line });
    send(response, { tool_calls: [toolCallOf("c2", "cite", { quote: line })] });
    finish(response, "tool_calls");
  };
  const { baseURL, asked } = await startModel(calling(["c1", "opening_hours", '{"place":"The library"}']), citing, saying());
  writeFileSync(join(folder, "concierge.ts"), piece("modelAgent({"));
  const file = join(folder, "concierge-program.ts");
  writeFileSync(
    file,
    `import { connect, serve } from "convoke";
    import concierge from "./concierge.ts";
    const server = await serve({ agents: [concierge], port: 0, signals: false, log: { level: "silent" } });
    const agents = connect(server.url);
    const { content, citations } = await agents.process("When is the library open?");
    console.log(content, citations[0].uri, citations[0].quote);
    agents.close();
    await server.close();`,
  );
  const env = { ...process.env, CONVOKE_MODEL: "scripted/any", CONVOKE_MODEL_URL: baseURL };
  const { stdout } = await run(process.execPath, [file], { cwd: root, timeout: 20_000, env });
  expect(stdout).toBe(`${line} tool:opening_hours#c1 ${line}\n`);
  expect(asked[0]?.tools?.map((tool) => tool.function.name)).toEqual(["opening_hours", "schedule", "cite"]);
});

test("the rules of access are rules", async () => {
  const code = piece("definePolicy([").replace('readFileSync("certs/ca.crt")', '""');
  expect(await runPieces(code, "console.log(access.policy.rules.length, clientCa);")).toBe("2 \n");
});

test("the calls from Node answer", async () => {
  const printed = await runPieces(piece("agents.converse()"));
  expect(printed).toContain("399.5");
  expect(printed).toContain("math:");
  expect(printed).toContain("30 minutes with Ana and Ben");
});

test("the call from a browser answers", async () => {
  const browser = `globalThis.location = { origin: "${server.url}" };
    globalThis.document = { body: { append: (text) => process.stdout.write(text) } };`;
  expect(await runPieces(browser, piece("convoke/web"))).toMatch(/task log/i);
});

test("the stream that goes on where it was has the index after the last", async () => {
  const printed = await runPieces(client(), piece("fromIndex = chunk.index"), "console.log(fromIndex > 1); agents.close();");
  expect(printed).toBe("true\n");
});

test("the agents of a registry are found and called", async () => {
  const registry = await startServer({ agents: [], registry: true });
  const agent = defineAgent({
    name: "shout",
    capabilities: ["shout"],
    run: async function* (task) {
      yield task.content.toUpperCase();
    },
  });
  const { url } = await startServer({ agents: [agent], register: { registry: registry.url } });
  const watch = watchRegistry(registryClient(registry.url));
  while ((await watch.next()).case !== "put");
  watch.stop();
  const at = (code: string) => code.replace("http://localhost:50050", registry.url);
  expect(await runPieces(at(piece("createRegistrySource")))).toBe(`[ 'shout at ${url}' ]\n`);
  expect(await runPieces(at(piece("found.capability")))).toBe("HELLO\n");
});

test("the thread is appended to, read, searched and verified", async () => {
  const code = piece("team.memory(");
  expect(await runPieces(code)).toBe("0 anonymous Tuesday at ten suits all\nplan Tuesday at ten suits all\n1\n");
  expect(await runPieces(code)).toBe("0 anonymous Tuesday at ten suits all\nplan Tuesday at ten suits all\n1\n"); // a second time changes nothing
});

test("certificates are made, served with and called with by the lines that say so", async () => {
  const [, lines = ""] = /### Certificates[\s\S]*?```\n([\s\S]*?)```/.exec(readme) ?? [];
  const commands = lines.split("\n").flatMap((line) => /^convoke (.*?)(?:\s+#.*)?$/.exec(line)?.[1] ?? []);
  const words = (command = "") => [...command.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
  const [serve, call] = commands.splice(-2);
  writeFileSync(join(folder, "agent.ts"), piece("async *run"));
  for (const command of commands) expect(await runConvoke(words(command), { cwd: folder })).toMatchObject({ code: 0 });
  const { child, exit, seen } = convoke([...words(serve), "--port", "0"], { cwd: folder });
  const [, port = ""] = await seen(/ on https:\/\/\S+:(\d+)\n/);
  const answer = await runConvoke(words(call?.replace("50051", port)), { cwd: folder });
  expect(answer).toMatchObject({ code: 0, stdout: "HELLO\n" });
  child.kill("SIGTERM");
  await exit;
});

test("the wire alone serves and calls", async () => {
  expect(await runPieces(piece("createRpcHandler"))).toBe("hello\n");
});

test("the error is told by its code and its details", async () => {
  const printed = await runPieces(client(), piece("BadRequestSchema"), "agents.close();");
  expect(printed).toBe("content is missing; say what is asked\n");
});

test("the table of limits names limits that there are", () => {
  const table = /### Limits[\s\S]*?### Errors/.exec(readme)?.[0] ?? "";
  const rows = [...table.matchAll(/^\| (`.*?) \|/gm)].map(([, cell = ""]) => cell);
  const names = rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name));
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => !Object.hasOwn(defaultLimits, name))).toEqual([]);
});
