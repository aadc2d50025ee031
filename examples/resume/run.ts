import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createStage } from "../stage.ts";
import { layWire } from "./wire.ts";

/** An answer that is streamed from another process, while its connection is cut and its server is killed. */
const folder = mkdtempSync(join(tmpdir(), "convoke-resume-"));
const stage = createStage();
const wire = await layWire();
const file = (name: string) => join(import.meta.dirname, `${name}.ts`);
try {
  let server = await startServer();

  act("the connection is cut: the stream goes on at the next event");
  const first = ask("count");
  await first.said(/has 1 .*(20)$/);
  stage.print("wire", "is cut");
  wire.cut();
  expectExit(await first.ended(), 0);

  act("the server is killed (kill -9): its agent may begin anew, and the caller forgets what is void");
  const second = ask("count");
  await second.said(/has 1 .*(20)$/);
  server = await replace(server);
  expectExit(await second.ended(), 0);

  act("the server is killed, and the agent is not to do its work twice: the task has failed, and that is said");
  const third = ask("once");
  await third.said(/has 1 .*(20)$/);
  await replace(server);
  expectExit(await third.ended(), 1);
} finally {
  await stage.clear();
  wire.close();
  rmSync(folder, { recursive: true });
}

function act(what: string): void {
  process.stdout.write(`\n${what}\n`);
}

/** A server on the folder, at the end of the wire. */
async function startServer() {
  const server = stage.begin("server", file("server"), folder);
  wire.lead(await server.said(/listens at (\S+)/));
  return server;
}

async function replace(server: Awaited<ReturnType<typeof startServer>>) {
  await server.kill();
  stage.print("server", "was killed");
  return await startServer();
}

function ask(agent: string) {
  return stage.begin("caller", file("caller"), wire.url, agent, "60");
}

function expectExit(code: number | null, expected: number): void {
  if (code !== expected) throw new Error(`the caller ended with ${code}, and not with ${expected}`);
}
