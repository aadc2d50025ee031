import { pino } from "pino";
import { connect } from "../src/index.ts";
import { startServer } from "./support/server.ts";

/** A server whose log lines a test can read. */
async function startLogged() {
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => lines.push(line) });
  const { url } = await startServer({ log });
  const agents = connect({ url, metadata: { authorization: "Bearer s3cret", "x-note": "s3cret" } });
  return { agents, lines, parsed: () => lines.map((line) => JSON.parse(line)) };
}

test("a call is one line: method, protocol, peer, code and duration", async () => {
  const { agents, parsed } = await startLogged();
  await agents.process("hello");
  agents.close();
  expect(parsed().filter((line) => line.msg === "call")).toEqual([
    expect.objectContaining({
      rpc: "agent.v1.AgentService/ProcessTask",
      type: "application/grpc+proto",
      peer: "127.0.0.1",
      code: "ok",
      ms: expect.any(Number),
    }),
  ]);
});

test("a stream and a refusal are told with their codes", async () => {
  const { agents, parsed } = await startLogged();
  for await (const _ of agents.stream("hello"));
  await agents.process("").catch(() => {});
  agents.close();
  expect(
    parsed()
      .filter((line) => line.msg === "call")
      .map((line) => line.code),
  ).toEqual(["ok", "invalid_argument"]);
});

test("bodies, metadata and credentials never reach the log", async () => {
  const { agents, lines } = await startLogged();
  await agents.process({ content: "s3cret", metadata: { key: "s3cret" }, taskId: "t" });
  for await (const _ of agents.stream({ content: "s3cret again" }));
  agents.close();
  expect(lines.length).toBeGreaterThan(2);
  expect(lines.join("")).not.toContain("s3cret");
});

test("what an agent did not type is an error line with its cause", async () => {
  const { agents, parsed } = await startLogged();
  await agents.process("crash", { agent: "failing" }).catch(() => {});
  agents.close();
  const [failed] = parsed().filter((line) => line.msg === "agent failed");
  expect(failed).toMatchObject({ level: 50, agent: "failing", err: { message: "secret: /etc/passwd" } });
});
