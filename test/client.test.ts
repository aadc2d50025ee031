import { once } from "node:events";
import { type AddressInfo, createServer, type Server as NetServer } from "node:net";
import { Code, connect } from "../src/index.ts";
import { createGate } from "./support/agents.ts";
import { failure } from "./support/failure.ts";
import { losesConnections, startServer } from "./support/server.ts";

async function listen(server: NetServer): Promise<string> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server's address is never a pipe name
}

describe("a connection that cannot be had is UNAVAILABLE", () => {
  test.each<[what: string, server: () => NetServer]>([
    ["closed when accepted", () => createServer((socket) => socket.destroy())],
    ["reset before the handshake", () => createServer((socket) => socket.resetAndDestroy())],
    ["lost when the request came", losesConnections],
    ["accepted, and nothing more within `connectTimeoutMs`", () => createServer()],
  ])("%s", async (_what, create) => {
    const server = create();
    const agents = connect({ url: await listen(server), connectTimeoutMs: 1_000 });
    const reading = (async () => {
      for await (const _ of agents.stream("x", { resumeForMs: 200 }));
    })();
    expect(await Promise.all([failure(agents.process("x", { resumeForMs: 200 })), failure(reading)])).toMatchObject([
      { code: Code.Unavailable },
      { code: Code.Unavailable },
    ]);
    agents.close();
    server.close();
  });

  test("nobody listens", async () => {
    const { url, close } = await startServer();
    await close();
    const agents = connect(url);
    expect((await failure(agents.process("x"))).code).toBe(Code.Unavailable);
    agents.close();
  });
});

test("a cancel of the caller's own is CANCELLED, and reaches the agent though the client is closed at once", async () => {
  const gate = createGate();
  const { url } = await startServer({ agents: [gate.agent] });
  const agents = connect(url);
  const cancel = new AbortController();
  const answer = failure(agents.process("x", { signal: cancel.signal }));
  await gate.running;
  cancel.abort();
  agents.close();
  expect((await answer).code).toBe(Code.Canceled);
  expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
});

test.each(["", "http://", "ftp://localhost", "http://:1", "local host"])("the URL %j is refused at once", (url) => {
  expect(() => connect(url)).toThrow(/is no server; write http:\/\/host:port/);
});

test.each(["127.0.0.1:PORT", ":PORT", "http://127.0.0.1:PORT", "http://127.0.0.1:PORT/"])(
  "the URL %s is called",
  async (form) => {
    const { port } = await startServer();
    const agents = connect(form.replace("PORT", String(port)));
    expect((await agents.process("hi")).content).toBe("hi ");
    agents.close();
  },
);
