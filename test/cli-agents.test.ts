import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { protoText } from "../src/cli/proto-text.ts";
import { AgentService, RegistryService } from "../src/contract/index.ts";
import { contractDifferences, contractOf, readContract } from "../src/registry/index.ts";
import { convoke, type Process, root, runConvoke } from "./support/process.ts";
import { registryClient, watchRegistry } from "./support/registry.ts";
import { runTool } from "./support/tools.ts";

const shout = "test/fixtures/cli/shout.ts";

async function urlOf(program: Process, pattern: RegExp): Promise<string> {
  const [, url = ""] = await program.seen(pattern);
  return url;
}

/** A registry in a process of its own, and a way to start servers that register there. */
async function startTeam() {
  const registry = convoke(["registry", "--port", "0", "--log-level", "silent"]);
  const url = await urlOf(registry, /A registry runs on (\S+)\n/);
  const serve = (...more: string[]) => {
    const options = ["--port", "0", "--log-level", "silent", "--register", url, "--lease-time", "1s", ...more];
    return convoke(["serve", shout, ...options]);
  };
  return { registry, url, serve };
}

test("a server that dies by kill -9 is gone from the registry within its time and a second", async () => {
  const { url, serve } = await startTeam();
  const watch = watchRegistry(registryClient(url));
  const server = serve();
  while ((await watch.next()).case !== "put");
  const startMs = performance.now();
  server.child.kill("SIGKILL");
  for (;;) if ((await watch.next()).case === "delete") break;
  expect(performance.now() - startMs).toBeLessThan(2_000);
  watch.stop();
});

test("a server that is stopped is gone at once, and one whose registry was killed comes back to the next", async () => {
  const { registry, url, serve } = await startTeam();
  const first = watchRegistry(registryClient(url));
  const [stays, leaves] = [serve("--zone", "a"), serve()];
  for (let puts = 0; puts < 2; ) if ((await first.next()).case === "put") puts++;
  leaves.child.kill("SIGTERM");
  expect((await leaves.exit).code).toBe(0);
  for (;;) if ((await first.next()).case === "delete") break;
  registry.child.kill("SIGKILL");
  await registry.exit;
  const next = convoke(["registry", "--port", new URL(url).port, "--log-level", "silent"]);
  await next.seen(/A registry runs on/);
  const second = watchRegistry(registryClient(url));
  for (;;) {
    const event = await second.next();
    if (event.case !== "put") continue;
    expect(event.value.registration?.endpoints[0]?.zone).toBe("a");
    break;
  }
  second.stop();
  stays.child.kill("SIGKILL");
});

test("call and chat find an agent by what it can do", async () => {
  const { registry, url, serve } = await startTeam();
  const watch = watchRegistry(registryClient(url));
  serve();
  while ((await watch.next()).case !== "put");
  watch.stop();
  const at = new URL(url).host;
  expect(await runConvoke(["call", `shout@${at}`, "hello"])).toMatchObject({ code: 0, stdout: "HELLO\n" });
  expect(await runConvoke(["call", `shout@${url}`, "--stream", "hello"])).toMatchObject({ code: 0, stdout: "HELLO\n" });
  expect(await runConvoke(["chat", `shout@${at}`], { input: "hello\n" })).toMatchObject({ code: 0, stdout: "HELLO\n" });
  const nobody = await runConvoke(["call", `fly@${at}`, "hello"]);
  expect(nobody.code).toBe(3);
  expect(nobody.stderr).toContain('there is no endpoint of capability "fly"');
  for (const option of ["--agent", "--identity"]) {
    const refused = await runConvoke(["call", `shout@${at}`, option, "x", "hello"]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(`${option} is for one server`) });
  }
  registry.child.kill("SIGKILL");
  await registry.exit;
  const away = await runConvoke(["call", `shout@${at}`, "hello"]);
  expect(away.code).not.toBe(0);
  expect(away.stderr).toContain("nothing listens at this address");
});

test("agents list, describe and watch tell who is there", async () => {
  const { url, serve } = await startTeam();
  const watching = convoke(["agents", "watch", "--registry", url]);
  const server = serve("--zone", "eu-1");
  await watching.seen(/^\+ shout http:\/\/127\.0\.0\.1:\d+ \(0 of 10000\)\n/);
  const env = { CONVOKE_REGISTRY: url };
  const list = await runConvoke(["agents", "list"], { env });
  expect(list.stdout).toMatch(
    /^NAME +VERSION +CAPABILITIES +ENDPOINTS +ZONE +LOAD +AGE\nshout +- +\S+ +http:\/\/127\S+ +eu-1 +0 of 10000 +\ds\n$/,
  );
  expect(await runConvoke(["agents", "list", "--capability", "fly"], { env })).toMatchObject({
    stdout: "no agents are registered\n",
    code: 0,
  });
  const json = await runConvoke(["agents", "list", "--json"], { env });
  expect(JSON.parse(json.stdout)).toMatchObject({ registration: { agent: { name: "shout" } } });
  const { stdout } = await runConvoke(["agents", "describe", "shout", "-r", url]);
  expect(stdout).toMatch(/^shout/);
  expect(stdout).toContain("rpc ProcessTask(TaskRequest) returns (TaskResponse);");
  const described = await runConvoke(["agents", "describe", "shout", "--json"], { env });
  expect(JSON.parse(described.stdout)).toMatchObject({ contracts: [{ sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }] });
  server.child.kill("SIGTERM");
  await watching.seen(/\n?- shout http/);
  watching.child.kill("SIGINT");
  expect(await watching.exit).toMatchObject({ code: 130, stderr: "convoke: cancelled\n" });
});

test("what cannot be told has its exit code and sentence", async () => {
  const { url } = await startTeam();
  expect(await runConvoke(["agents", "describe", "nobody", "-r", url])).toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/^convoke: there is no agent "nobody"/),
  });
  expect(await runConvoke(["agents", "list", "-r", "127.0.0.1:1"])).toMatchObject({
    code: 3,
    stderr: "convoke: nothing listens at this address; is the server running, and is this its port?\n",
  });
});

test.each<[args: string[], sentence: RegExp]>([
  [["agents", "list", "-r", "ftp://x"], /"ftp:\/\/x" is no registry; write http:\/\/host:port/],
  [["agents", "sing"], /unknown command 'sing'/],
  [["agents", "describe"], /missing required argument 'name'; convoke agents --help shows how/],
  [["agents", "list", "--loud"], /unknown option '--loud'/],
  [["registry", "--allow", "all"], /"all" is no range of addresses; write a CIDR/],
  [["registry", "--port", "x"], /a port is a whole number/],
  [["serve", shout, "--zone", "a"], /--zone needs a registry; add --register or --registry/],
  [["serve", shout, "--register", "x", "--lease-time", "10ms"], /register\.ttlMs is 10; it must be from 1000/],
])("convoke %j is wrong usage", async (args, sentence) => {
  const { code, stdout, stderr } = await runConvoke(args, { env: { LOG_LEVEL: "silent" } });
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test("the proto text of a contract compiles to the same contract", async () => {
  const { files } = readContract(contractOf([AgentService, RegistryService]));
  const folder = mkdtempSync(join(tmpdir(), "convoke-proto-"));
  for (const file of files) {
    if (file.proto.name.startsWith("google/protobuf/")) continue; // Buf brings these
    mkdirSync(join(folder, dirname(file.proto.name)), { recursive: true });
    writeFileSync(join(folder, file.proto.name), protoText(file));
  }
  const { stdout, stderr } = await runTool(join(root, "node_modules/.bin/buf"), ["build", folder, "-o", "-#format=binpb"]);
  expect(stderr).toBe("");
  const built = createFileRegistry(fromBinary(FileDescriptorSetSchema, stdout));
  for (const service of [AgentService, RegistryService]) {
    expect(contractDifferences(service, built)).toEqual([]);
    const rebuilt = built.getService(service.typeName);
    expect(rebuilt && contractDifferences(rebuilt, { getService: () => service })).toEqual([]);
  }
  rmSync(folder, { recursive: true });
});
