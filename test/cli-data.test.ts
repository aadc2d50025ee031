import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { type Agents, connect } from "../src/index.ts";
import { type NatsCluster, startNats } from "./support/nats-cluster.ts";
import { convoke, listen, type Process, type ProcessOptions, root, runConvoke } from "./support/process.ts";
import { describeWith, findTool } from "./support/tools.ts";

const shout = join(root, "test/fixtures/cli/shout.ts");
const quiet = ["--port", "0", "--log-level", "silent"];

let folder: string;
const clients: Agents[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "convoke-data-"));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  rmSync(folder, { recursive: true });
});

/** A server by the command line, a client of it, and what it says of where things are kept. */
async function start(args: readonly string[], options: ProcessOptions = {}) {
  const process = convoke(["serve", shout, ...quiet, ...args], options);
  const [, url = "", place = ""] = await process.seen(/ on (http:\S+)\n[\s\S]*\nTasks and memory (.+)\.\n/);
  const agents = connect(url);
  clients.push(agents);
  return { process, agents, place };
}

async function stop(process: Process, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  process.child.kill(signal);
  const { code, stderr } = await process.exit;
  expect({ code, stderr }).toEqual({ code: signal === "SIGKILL" ? null : 0, stderr: "" });
}

describe("convoke serve keeps tasks and memory", () => {
  test("in .convoke of the working directory, for its owner alone, and knows them when it is started again", async () => {
    const options = { cwd: folder, env: { CONVOKE_DATA: undefined } };
    const first = await start([], options);
    expect(first.place).toBe("are kept in .convoke/convoke.db");
    await first.agents.process({ taskId: "t", content: "hello there" });
    await first.agents.memory("plan").append("Tuesday");
    await stop(first.process);
    expect(statSync(join(folder, ".convoke")).mode & 0o077).toBe(0);
    const second = await start([], options);
    expect((await second.agents.get("t")).response?.content).toBe("HELLO THERE");
    for await (const { content } of second.agents.memory("plan").read()) expect(content).toBe("Tuesday");
    await stop(second.process);
  });

  test("in the folder that is named, by option or environment, also when it was killed", async () => {
    const data = join(folder, "a/b");
    const first = await start([], { env: { CONVOKE_DATA: data } });
    await first.agents.process({ taskId: "t", content: "hello" });
    await stop(first.process, "SIGKILL");
    const second = await start(["--data", data]);
    expect(second.place).toBe(`are kept in ${join(data, "convoke.db")}`);
    expect((await second.agents.get("t")).response?.content).toBe("HELLO");
    await stop(second.process);
  });

  test("for the servers of the machine that share the folder: each answers for the other's tasks and registrations", async () => {
    const args = ["--data", folder, "--registry"];
    const [one, other] = [await start(args), await start(args)];
    await one.agents.process({ taskId: "t", content: "hello" });
    expect((await other.agents.get("t")).response?.content).toBe("HELLO");
    await one.agents.memory("plan").append("Tuesday");
    expect(await other.agents.memory("plan").length()).toBe(1);
    await Promise.all([stop(one.process), stop(other.process)]);
  });

  test.each([[["--no-data"]], [["--data", "none"]]])("nowhere with %j", async (args) => {
    const { process, place } = await start(args, { cwd: folder, env: { CONVOKE_DATA: undefined } });
    expect(place).toBe("end with this process");
    expect(existsSync(join(folder, ".convoke"))).toBe(false);
    await stop(process);
  });

  test("and delivers before it has kept them with --durability memory", async () => {
    const { process, agents } = await start(["--data", folder, "--durability", "memory"]);
    expect((await agents.process("hello")).content).toBe("HELLO");
    await stop(process);
  });
});

test("convoke registry keeps what it knows with --data, and nothing without", async () => {
  const options = { cwd: folder, env: { CONVOKE_DATA: undefined } };
  for (const args of [[], ["--data", "known"]]) {
    const registry = convoke(["registry", ...quiet, ...args], options);
    await registry.seen(args.length === 0 ? /runs on \S+\n\n/ : /runs on \S+\nWhat it knows is kept in known\/convoke\.db\.\n/);
    await stop(registry);
    expect(existsSync(join(folder, "known/convoke.db"))).toBe(args.length > 0);
  }
});

describe("a place that is none is one sentence and exit code 2:", () => {
  let places: string;

  beforeAll(async () => {
    places = mkdtempSync(join(tmpdir(), "convoke-places-"));
    writeFileSync(join(places, "file"), "");
    for (const name of ["text", "other", "newer"]) mkdirSync(join(places, name));
    writeFileSync(join(places, "text/convoke.db"), "no database, but a text that is long enough");
    for (const [name, pragma] of [
      ["other", "application_id = 7"],
      ["newer", "user_version = 99"],
    ] as const) {
      if (name === "newer") await stop((await start(["--data", join(places, name)])).process);
      const database = new Database(join(places, name, "convoke.db"));
      database.pragma(pragma);
      database.close();
    }
  });
  afterAll(() => rmSync(places, { recursive: true }));

  test.each<[what: string, args: string[], sentence: RegExp]>([
    [
      "a folder that cannot be made",
      ["--data", "file/x"],
      /file\/x\/convoke\.db" cannot be opened: ENOTDIR[^;]*; --data names/,
    ],
    [
      "a file that is none of SQLite's",
      ["--data", "text"],
      /text\/convoke\.db" is no SQLite file; --data names another folder/,
    ],
    ["a file of another program", ["--data", "other"], /other\/convoke\.db" is an SQLite file, but no Convoke store; /],
    ["a store of a newer version", ["--data", "newer"], /is a store of version 99, and this Convoke knows versions up to \d; /],
    ["no name", ["--data", ""], /--data names no folder; write --data none /],
    ["two places", ["--data", "a", "--store", "nats://h"], /--data and --store are two places to keep the same; name one/],
    ["another kind of store", ["--store", "redis://h"], /--store is no address; write nats:\/\/host:4222/],
    ["a server without a name", ["--store", "nats://a:1,,b:2"], /--store is no address/],
    ["options of NATS without it", ["--nats-prefix", "x"], /are about NATS; --store nats:\/\/host:4222 names it/],
    ["a wrong number of replicas", ["--store", "nats://h", "--nats-replicas", "9"], /replicas is 9; it must be .* from 1 to 5/],
    ["credentials that are not there", ["--store", "nats://h", "--nats-creds", "none"], /credentials in none cannot be read/],
    ["more than the store gives", ["--durability", "disk"], /durability is "disk", and the store gives "memory"/],
  ])("%s", async (_what, args, sentence) => {
    const { code, stdout, stderr } = await runConvoke(["serve", shout, ...quiet, ...args], { cwd: places });
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  test("credentials in an address, which are not repeated", async () => {
    for (const address of ["nats://ana:hunter2@h:4222", "nats://h,hunter2@i", "ana:hunter2@h"]) {
      const { code, stderr } = await runConvoke(["serve", shout, ...quiet, "--store", address]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.not.stringContaining("hunter2") });
    }
  });

  test("a user without a password", async () => {
    const env = { CONVOKE_NATS_USER: "ana" };
    const { code, stderr } = await runConvoke(["serve", shout, "--store", "nats://h"], { env });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "convoke: CONVOKE_NATS_USER and CONVOKE_NATS_PASSWORD belong together\n",
    });
  });

  test("NATS that is too old", async () => {
    const info = { server_id: "x", version: "2.9.0", proto: 1, headers: true, max_payload: 1_048_576, jetstream: true };
    const old = createServer((socket) => {
      socket.write(`INFO ${JSON.stringify(info)}\r\n`);
      socket.on("error", () => {}).on("data", (data) => data.includes("PING") && socket.write("PONG\r\n"));
    });
    const { code, stderr } = await runConvoke(["serve", shout, ...quiet, "--store", `nats://${await listen(old)}`]);
    expect(stderr).toMatch(/^convoke: the NATS server has version 2\.9\.0; 2\.11 is the least[^\n]+\n$/);
    expect(code).toBe(2);
  });
});

test("NATS that is away is one sentence and exit code 3", async () => {
  const { code, stderr } = await runConvoke(["serve", shout, ...quiet, "--store", "nats://127.0.0.1:1,127.0.0.1:2"]);
  const where = "nats://127.0.0.1:1, nats://127.0.0.1:2";
  expect({ code, stderr }).toEqual({ code: 3, stderr: `convoke: no NATS server answers at ${where} (unavailable)\n` });
});

describeWith(findTool("nats-server", "NATS_SERVER"), "convoke serve --store", (program) => {
  const secret = "hunter2";
  let nats: NatsCluster;

  beforeAll(async () => {
    const config = `authorization { user: ana, password: ${secret} }`;
    nats = await startNats(program, { size: 1, config, credentials: { user: "ana", password: secret } });
  });
  afterAll(() => nats.stop());

  const env = { CONVOKE_NATS_USER: "ana", CONVOKE_NATS_PASSWORD: secret };
  const args = () => ["--store", `nats://${nats.servers[0]}`, "--nats-replicas", "1"];

  test("keeps tasks and memory on NATS, for all servers of one prefix", async () => {
    const [one, other] = [await start(args(), { env }), await start(args(), { env })];
    expect(one.place).toBe(`are kept on NATS at nats://${nats.servers[0]}`);
    await one.agents.process({ taskId: "t", content: "hello" });
    expect((await other.agents.get("t")).response?.content).toBe("HELLO");
    await one.agents.memory("plan").append("Tuesday");
    expect(await other.agents.memory("plan").length()).toBe(1);
    const apart = await start([...args(), "--nats-prefix", "apart"], { env });
    expect(await apart.agents.memory("plan").length()).toBe(0);
    await Promise.all([one, other, apart].map(({ process }) => stop(process)));
  });

  test.each<[what: string, options: ProcessOptions, more: string[], sentence: RegExp]>([
    ["a wrong password", { env: { ...env, CONVOKE_NATS_PASSWORD: "hunter3" } }, [], /does not accept the credentials/],
    [
      "more replicas than servers",
      { env },
      ["--nats-replicas", "3", "--nats-prefix", "three"],
      /the NATS server is alone; start a cluster, or ask for 1/,
    ],
  ])("with %s ends with one sentence and exit code 2", async (_what, options, more, sentence) => {
    const { code, stdout, stderr } = await runConvoke(["serve", shout, ...quiet, ...args(), ...more], options);
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: "", stderr: expect.not.stringContaining("hunter") });
  });
});
