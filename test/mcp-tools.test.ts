import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { setImmediate as nextTick } from "node:timers/promises";
import { RetryInfoSchema } from "../src/contract/index.ts";
import { Code, defineAgent, type McpServer, type McpTools, type McpToolsOptions, mcpTools, modelAgent } from "../src/index.ts";
import { failure } from "./support/failure.ts";
import { calling, saying, startModel } from "./support/model-server.ts";
import { listen, root, startProgram } from "./support/process.ts";
import { startClient } from "./support/server.ts";

const program = join(root, "node_modules/@modelcontextprotocol/server-everything/dist/index.js");
const everything: McpServer = { command: process.execPath, args: [program] };

const opened = new Set<McpTools>();
const children = new Set<ChildProcess>();
afterEach(async () => {
  await Promise.all([...opened].map((each) => each.close()));
  opened.clear();
  for (const child of children) child.kill("SIGKILL");
  children.clear();
});

async function open(server: McpServer, options?: McpToolsOptions): Promise<McpTools> {
  const tools = await mcpTools(server, options);
  opened.add(tools);
  return tools;
}

/** The MCP project's server by streamable HTTP. */
async function startHttp(): Promise<McpServer> {
  const free = createServer();
  const port = (await listen(free)).split(":").at(-1) ?? "";
  await new Promise((resolve) => free.close(resolve));
  const child = spawn(process.execPath, [program, "streamableHttp"], {
    env: { PORT: port },
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.add(child);
  for await (const line of child.stderr) if (String(line).includes("listening")) break;
  return { url: `http://127.0.0.1:${port}/mcp` };
}

/** A server by streamable HTTP of ours, that dies when it is told to. @param port of one that has died. */
async function startMortal(port = "0") {
  const file = join(root, "test/fixtures/mcp-http.mjs");
  const child = spawn(process.execPath, [file], { env: { PORT: port }, stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  const said = async () => String((await once(child.stdout, "data"))[0]).trim();
  return { port: await said(), child, said };
}

const tooLarge = "the MCP server has sent a message of over 16777216 bytes, the most allowed";

/** Waits until there is no such process; a zombie is none. */
async function gone(pid: number): Promise<void> {
  const isThere = () => /^State:\s+[^ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  for (;;) {
    try {
      if (!isThere()) return;
    } catch {
      return;
    }
    await nextTick();
  }
}

/** A program of a few lines as a server. */
const script = (code: string): McpServer => ({ command: process.execPath, args: ["-e", code] });

/** An agent that calls one of the tools with what it is asked. */
async function agentOf({ tools }: McpTools, name: string) {
  const tool = tools.find((each) => each.name === name);
  if (tool === undefined) throw new Error(`there are ${tools.map((each) => each.name).join(", ")}`);
  return startClient({
    agents: [
      defineAgent({
        name: "user",
        async *run(task, ctx) {
          yield JSON.stringify(await ctx.tool(tool, JSON.parse(task.content)));
        },
      }),
    ],
  });
}

describe.each<[how: string, start: () => Promise<McpServer>]>([
  ["on standard input and output", async () => everything],
  ["by streamable HTTP", startHttp],
])("a server %s", (_how, start) => {
  test("gives its tools, which agents call as their own", async () => {
    const mcp = await open(await start());
    expect(mcp.tools.map(({ name }) => name)).toEqual(expect.arrayContaining(["echo", "get-sum", "get-tiny-image"]));
    const agents = await agentOf(mcp, "get-sum");
    expect((await agents.process('{"a":2,"b":3}')).content).toBe('"The sum of 2 and 3 is 5."');
  });

  test("gives content of other kinds without its bytes, and structured content as it is", async () => {
    const mcp = await open(await start());
    const image = (await (await agentOf(mcp, "get-tiny-image")).process("{}")).content;
    expect(image).toContain("image/png");
    expect(image.length).toBeLessThan(500);
    const structured = await (await agentOf(mcp, "get-structured-content")).process('{"location":"New York"}');
    expect(JSON.parse(structured.content)).toMatchObject({ temperature: expect.any(Number) });
  });

  test.each([
    ["arguments of another kind", '{"a":"two","b":3}', Code.InvalidArgument, /a/],
    ["arguments that are none", "[]", Code.InvalidArgument, /must be an object/],
  ])("refuses %s", async (_what, content, code, message) => {
    const agents = await agentOf(await open(await start()), "get-sum");
    const error = await failure(agents.process(content));
    expect([error.code, error.rawMessage]).toEqual([code, expect.stringMatching(message)]);
  });

  test("is given the time of its tool, and no more", async () => {
    const mcp = await open(await start(), { timeoutMs: 300 });
    const agents = await agentOf(mcp, "trigger-long-running-operation");
    const error = await failure(agents.process('{"duration":60,"steps":2}'));
    expect([error.code, error.rawMessage]).toEqual([
      Code.DeadlineExceeded,
      'tool "trigger-long-running-operation" took longer than its 300 ms',
    ]);
  });
});

test("a model calls them", async () => {
  const { model } = await startModel(calling(["c1", "everything_echo", '{"message":"hello"}']), saying("It echoes."));
  const { tools } = await open(everything, { prefix: "everything_" });
  const agents = await startClient({ agents: [modelAgent({ name: "model", model, tools, maxRetries: 0 })] });
  const results: string[] = [];
  for await (const { toolResult } of agents.stream("echo hello"))
    if (toolResult !== undefined) results.push(toolResult.resultJson);
  expect(results).toEqual(['"Echo: hello"']);
});

test("one that needs somebody's leave asks for it", async () => {
  const mcp = await open(everything, { approve: (name) => name === "echo" });
  expect(mcp.tools.filter(({ approve }) => approve).map(({ name }) => name)).toEqual(["echo"]);
});

test("a server that dies fails the call at which it died, and the next call starts it anew", async () => {
  const dying = script(
    `${speaking} answer.call = ({ params }) => params.arguments.die ? process.kill(process.pid, "SIGKILL") : text(String(process.pid));`,
  );
  const agents = await agentOf(await open(dying), "call");
  const first = (await agents.process("{}")).content;
  const error = await failure(agents.process('{"die":true}'));
  expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, expect.stringMatching(/^the MCP server "node" is away$/)]);
  const second = (await agents.process("{}")).content;
  expect(second).toMatch(/^"\d+"$/);
  expect(second).not.toBe(first);
});

test("a server by HTTP that dies fails the call at which it died, and is connected to anew when it is back", async () => {
  const { port } = await startMortal();
  const agents = await agentOf(await open({ url: `http://127.0.0.1:${port}/mcp` }), "call");
  const before = (await agents.process("{}")).content;
  for (const content of ['{"die":true}', "{}"]) {
    const error = await failure(agents.process(content, { timeoutMs: 20_000 }));
    expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "the MCP server is away"]);
  }
  await startMortal(port);
  const { content } = await agents.process("{}");
  expect(content).toMatch(/^"\d+"$/);
  expect(content).not.toBe(before);
});

test("a server by HTTP that was started anew between two calls knows the session no more: it is given another one", async () => {
  const { port, child } = await startMortal();
  const agents = await agentOf(await open({ url: `http://127.0.0.1:${port}/mcp` }), "call");
  await agents.process("{}");
  child.kill("SIGKILL");
  await once(child, "exit");
  const again = await startMortal(port);
  expect((await agents.process("{}")).content).toBe(`"${again.child.pid}"`);
});

test.each(["application/json", "text/event-stream"])(
  "a server by HTTP whose answer (%s) has no end is left, and connected to anew",
  async (endless) => {
    const { port } = await startMortal();
    const agents = await agentOf(await open({ url: `http://127.0.0.1:${port}/mcp` }), "call");
    const error = await failure(agents.process(JSON.stringify({ endless }), { timeoutMs: 20_000 }));
    expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, tooLarge]);
    expect((await agents.process("{}")).content).toMatch(/^"\d+"$/);
  },
);

test("a program that prints a line without an end is ended, and started anew", async () => {
  const babbling = script(
    `${speaking} answer.call = ({ params }) => { const more = () => process.stdout.write("x".repeat(65536), more); if (params.arguments.babble) return more(); return text("quiet"); };`,
  );
  const agents = await agentOf(await open(babbling), "call");
  const error = await failure(agents.process('{"babble":true}', { timeoutMs: 20_000 }));
  expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, tooLarge]);
  expect((await agents.process("{}")).content).toBe('"quiet"');
});

test("a program that ends again and again is not started for a while, and callers are told for how long", async () => {
  const dying = script(`${speaking} answer.call = () => process.exit(1);`);
  const agents = await agentOf(await open(dying), "call");
  const messages: string[] = [];
  for (let time = 0; time < 3; time++) messages.push((await failure(agents.process("{}"))).rawMessage);
  expect(messages).toEqual([
    'the MCP server "node" is away',
    'the MCP server "node" is away',
    "the MCP server has ended again and again, and is not started for now",
  ]);
  const [retry] = (await failure(agents.process("{}"))).findDetails(RetryInfoSchema);
  expect(Number(retry?.retryDelay?.seconds) * 1_000 + Number(retry?.retryDelay?.nanos) / 1e6).toBeGreaterThan(0);
});

test("closing ends the session at a server by HTTP", async () => {
  const { port, said } = await startMortal();
  const mcp = await mcpTools({ url: `http://127.0.0.1:${port}/mcp` });
  const ended = said();
  await mcp.close();
  expect(await ended).toBe("ended");
});

test.each<[what: string, answer: (response: ServerResponse) => void]>([
  ["says that it cannot be ended", (response) => void response.writeHead(405).end()],
  ["fails", (response) => void response.writeHead(500).end()],
  ["breaks off", (response) => void response.destroy()],
  ["never answers", () => {}],
])("closing leaves a server by HTTP that %s, without an error", async (_what, answer) => {
  const ends: unknown[] = [];
  const server = createHttpServer((request, response) => {
    if (request.method === "POST") return void speakByHttp(request, response);
    if (request.method !== "DELETE") return void response.writeHead(405).end();
    ends.push(request.headers["mcp-session-id"]);
    answer(response);
  });
  const mcp = await mcpTools({ url: `http://${await listen(server)}/mcp` });
  await mcp.close();
  expect(ends).toEqual(["s1"]);
});

test("closing leaves a server by HTTP that is gone, without an error", async () => {
  const { port, child } = await startMortal();
  const mcp = await mcpTools({ url: `http://127.0.0.1:${port}/mcp` });
  child.kill("SIGKILL");
  await once(child, "exit");
  await expect(mcp.close()).resolves.toBeUndefined();
});

/** The answers of a server without tools. */
async function speakByHttp(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { id, method, params } = Object(await json(request));
  if (id === undefined) return void response.writeHead(202).end();
  const hello = {
    protocolVersion: params?.protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: "s", version: "1" },
  };
  response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "s1" });
  response.end(JSON.stringify({ jsonrpc: "2.0", id, result: method === "initialize" ? hello : { tools: [] } }));
}

/** Heeds no end of its input, no closed terminal, and SIGTERM no more. */
const stubborn = 'for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => {}); setInterval(() => {}, 1000);';

/** Starts the rest of it, which says when it is ready; its tool gives that one's id, or ends the server. */
const starting = (rest: string) => `${speaking}
  const code = ${JSON.stringify(rest)} + "process.send(0); process.disconnect();";
  const child = require("node:child_process").spawn(process.execPath, ["-e", code], { stdio: ["inherit", "inherit", "inherit", "ipc"] });
  child.unref();
  const ready = new Promise((resolve) => child.once("message", resolve));
  answer.call = ({ id, params }) => params.arguments.die ? process.exit(1) : void ready.then(() => reply(id, text(String(child.pid))));`;

test.each([
  ["lives on", "setInterval(() => {}, 1000);"],
  ["heeds no SIGTERM", stubborn],
])("closing ends what the server's program has started, too, which %s", async (_what, rest) => {
  const mcp = await mcpTools(script(starting(rest)));
  const pid = Number(JSON.parse((await (await agentOf(mcp, "call")).process("{}")).content));
  expect(process.kill(pid, 0)).toBe(true);
  await mcp.close();
  await gone(pid);
});

test("what a program that dies has started is ended", async () => {
  const agents = await agentOf(await open(script(starting(stubborn))), "call");
  const pid = Number(JSON.parse((await agents.process("{}")).content));
  const error = await failure(agents.process('{"die":true}', { timeoutMs: 30_000 }));
  expect(error.code).toBe(Code.Unavailable);
  await gone(pid);
});

test("a program is told by the end of its input first", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "convoke-")), "heard");
  const heard = `const hear = (what) => { require("node:fs").appendFileSync(${JSON.stringify(file)}, what + "\\n"); process.exit(); };
    process.on("SIGTERM", () => hear("SIGTERM")); process.stdin.on("end", () => hear("end of input"));`;
  const mcp = await mcpTools(script(speaking + heard));
  await mcp.close();
  expect(readFileSync(file, "utf8")).toBe("end of input\n");
});

test.each<[how: string, ending: string, code: number]>([
  ["has nothing else to do", "", 0],
  ["exits", "process.exit(3);", 3],
  ["fails", 'throw new Error("on purpose");', 1],
])("a process that %s exits, and its server ends with it", async (_how, ending, code) => {
  const server = JSON.stringify(script(`${stubborn} ${speaking} answer.call = () => text(String(process.pid));`));
  const program = `import { mcpTools } from ${JSON.stringify(new URL("../src/index.ts", import.meta.url))};
    const { tools: [tool] } = await mcpTools(${server});
    console.log(await tool.run({}, { signal: new AbortController().signal }));
    ${ending}`;
  const exit = await startProgram([process.execPath, "--input-type=module", "-e", program]).exit;
  expect([exit.code, exit.stdout]).toEqual([code, expect.stringMatching(/^\d+\n$/)]);
  await gone(Number(exit.stdout));
});

test("an answer in many pieces arrives whole, also when it is a program's last", async () => {
  const long = script(`${speaking} answer.call = ({ id }) => {
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, result: text("é".repeat(100_000)) }) + "\\n");
    let from = 0;
    const more = () => from < bytes.length ? process.stdout.write(bytes.subarray(from, (from += 4_099)), more) : process.exit();
    more(); };`);
  const agents = await agentOf(await open(long, { maxResultBytes: 1024 * 1024 }), "call");
  expect((await agents.process("{}")).content).toBe(JSON.stringify("é".repeat(100_000)));
});

test("closing ends the server's program, and calls fail from then on", async () => {
  const mcp = await mcpTools(script(`${speaking} answer.call = () => text(String(process.pid));`));
  const agents = await agentOf(mcp, "call");
  const pid = Number(JSON.parse((await agents.process("{}")).content));
  await mcp.close();
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  expect((await failure(agents.process("{}"))).code).toBe(Code.Internal);
});

test("what a tool reports as its own failure reaches who called it, and no request of the server is left without an answer", async () => {
  const asking = script(`${speaking}
    answer.call = ({ id }) => { ask("sampling/createMessage", { messages: [], maxTokens: 1 }, ({ error }) => reply(id, { isError: true, content: [{ type: "text", text: "no: " + error.code }] })); };`);
  const agents = await agentOf(await open(asking), "call");
  const error = await failure(agents.process("{}"));
  expect([error.code, error.rawMessage]).toEqual([Code.FailedPrecondition, "no: -32601"]);
});

/** The least of an MCP server: \`answer.call\` answers its one tool, by what it returns or by itself. */
const speaking = `
  const answer = {}, asked = new Map();
  const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\\n");
  const reply = (id, result) => send({ id, result });
  const text = (text) => ({ content: [{ type: "text", text }] });
  const ask = (method, params, done) => { asked.set("s1", done); send({ id: "s1", method, params }); };
  const schema = { type: "object" };
  let names = ["call"];
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const message = JSON.parse(line), { id, method, params } = message;
    if (method === undefined) return asked.get(id)?.(message);
    if (method === "initialize") reply(id, { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } });
    if (method === "tools/list") reply(id, { tools: names.map((name) => ({ name, inputSchema: schema })) });
    if (method === "tools/call") { const result = answer.call(message); if (result?.content) reply(id, result); }
  });`;

test.each<[what: string, server: McpServer, code: Code, message: RegExp]>([
  ["is not there", { command: "/nowhere/secret/mcp" }, Code.Unavailable, /^the MCP server "mcp" is away$/],
  ["is not there, by HTTP", { url: "http://127.0.0.1:1/mcp" }, Code.Unavailable, /^the MCP server {1,2}is away$/],
  ["ends at once", script("process.exit(3)"), Code.Unavailable, /is away$/],
  ["says nothing", script("setInterval(() => {}, 1000)"), Code.DeadlineExceeded, /took too long to answer$/],
  [
    "speaks another language",
    script('setInterval(() => console.log("hello there"), 50)'),
    Code.DeadlineExceeded,
    /took too long/,
  ],
  [
    "has too many tools",
    script(`${speaking} names = Array.from({ length: 129 }, (_, index) => "t" + index);`),
    Code.ResourceExhausted,
    /^the MCP server has more than 128 tools/,
  ],
  [
    "prints a line without an end from the start",
    script('const more = () => process.stdout.write("x".repeat(65536), more); more();'),
    Code.ResourceExhausted,
    /^the MCP server has sent a message of over 16777216 bytes/,
  ],
  [
    "names its tools without an end",
    script(
      `${speaking} const more = () => process.stdout.write("x".repeat(65536), more); names = { map: () => (more(), []) };`,
    ),
    Code.ResourceExhausted,
    /^the MCP server has sent a message of over 16777216 bytes/,
  ],
])("a server that %s is a typed error", async (_what, server, code, message) => {
  const error = await failure(mcpTools(server, { connectTimeoutMs: 4_000 }));
  expect([error.code, error.rawMessage]).toEqual([code, expect.stringMatching(message)]);
});

test("two tools whose names become the same are refused", async () => {
  const server = script(`${speaking} names = ["a b", "a.b"];`);
  await expect(mcpTools(server)).rejects.toThrow(new TypeError('the MCP server has two tools that would be called "a_b" here'));
});
