import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { connect, Status } from "../src/web/index.ts";
import { createGate, echo } from "./support/agents.ts";
import { startServer } from "./support/server.ts";

const protocols = ["grpc-web", "connect"] as const;

describe.each(protocols)("connect of convoke/web over %s", (protocol) => {
  test("has the calls of Node's client", async () => {
    const { url } = await startServer();
    const agents = connect({ baseUrl: url, protocol });
    expect((await agents.process({ content: "hi", taskId: "w-1" })).content).toBe("hi ");
    const texts: string[] = [];
    for await (const chunk of agents.stream("one two")) texts.push(chunk.text);
    expect(texts.join("")).toBe("one two ");
    expect((await agents.get("w-1")).status).toBe(Status.COMPLETED);
    expect((await agents.cancel("w-1")).status).toBe(Status.COMPLETED);
  });

  test("leaving a stream early stops the task", async () => {
    const gate = createGate();
    const { url } = await startServer({ agents: [gate.agent] });
    for await (const { text } of connect({ baseUrl: url, protocol }).stream("x")) if (text !== "") break;
    expect(await gate.stopped).toMatchObject({ code: Code.Canceled });
  });

  test("a server that is not there is UNAVAILABLE", async () => {
    const { url, close } = await startServer();
    await close();
    await expect(connect({ baseUrl: url, protocol }).process("x")).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("a connection that breaks in the middle of a stream is UNAVAILABLE", async () => {
    const broken = createServer((_request, response) => {
      response.writeHead(200, { "content-type": `application/${protocol}+proto` });
      response.write(Buffer.from([0, 0, 0]), () => response.destroy());
    }).listen(0, "127.0.0.1");
    await once(broken, "listening");
    const { port } = broken.address() as AddressInfo; // a TCP server's address is never a pipe name
    const reading = (async () => {
      for await (const _ of connect({ baseUrl: `http://127.0.0.1:${port}`, protocol }).stream("x"));
    })();
    const error = await reading.then(() => undefined, ConnectError.from);
    broken.close();
    expect(error?.code).toBe(Code.Unavailable);
  });
});

test("the agent is the call's, then the request's, then the client's", async () => {
  const named = (name: string) => ({
    ...echo,
    name,
    async *run() {
      yield name;
    },
  });
  const { url } = await startServer({ agents: [named("a"), named("b"), named("c")] });
  const agents = connect({ baseUrl: url, agent: "b" });
  expect((await agents.process("x")).content).toBe("b");
  expect((await agents.process({ content: "x", agentId: "c" })).content).toBe("c");
  expect((await agents.process({ content: "x", agentId: "c" }, { agent: "a" })).content).toBe("a");
  expect((await agents.agent("c").process("x")).content).toBe("c");
});

test("a default time-out holds for every call, and 0 takes it away", async () => {
  const gate = createGate();
  const { url } = await startServer({ agents: [gate.agent] });
  const agents = connect({ baseUrl: url, timeoutMs: 100 });
  await expect(agents.process("x")).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  gate.open();
  expect((await agents.process("x", { timeoutMs: 0 })).content).toBe("first second");
});

test.each([
  ["an unknown protocol", { baseUrl: "http://localhost", protocol: "soap" as "connect" }, RangeError], // what JavaScript allows
  ["no URL where there is no page", {}, TypeError],
])("%s is refused at once", (_what, options, kind) => {
  expect(() => connect(options)).toThrow(kind);
});
