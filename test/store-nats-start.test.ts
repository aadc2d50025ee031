import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { createNatsStore, type NatsStoreOptions } from "../src/store/index.ts";
import { createCertificate } from "./support/certificate.ts";
import { type NatsCluster, startNats } from "./support/nats-cluster.ts";
import { listen } from "./support/process.ts";
import { describeWith, findTool } from "./support/tools.ts";

const nowhere = "127.0.0.1:1";

test.each<[option: string, options: Partial<NatsStoreOptions>]>([
  ["servers", { servers: [] }],
  ["a server", { servers: "http://127.0.0.1:4222" }],
  ["a server", { servers: [nowhere, "nats://user:secret@127.0.0.1:4222"] }],
  ["replicas", { replicas: 0 }],
  ["replicas", { replicas: 6 }],
  ["replicas", { replicas: 1.5 }],
  ["prefix", { prefix: "" }],
  ["prefix", { prefix: "a.b" }],
  ["prefix", { prefix: "x".repeat(33) }],
  ["maxBytes", { maxBytes: 1_000 }],
  ["connectTimeoutMs", { connectTimeoutMs: 99 }],
  ["connectTimeoutMs", { connectTimeoutMs: Number.POSITIVE_INFINITY }],
])("a wrong option is a RangeError that names %s, and no secret: %j", async (option, options) => {
  const thrown = await createNatsStore({ servers: nowhere, ...options }).catch((thrown: unknown) => thrown);
  expect(thrown).toBeInstanceOf(RangeError);
  expect(`${thrown}`).toContain(option);
  expect(`${thrown}`).not.toContain("secret");
});

test("no server is UNAVAILABLE and names the address", async () => {
  const starting = createNatsStore({ servers: nowhere, connectTimeoutMs: 500 });
  await expect(starting).rejects.toMatchObject({ code: Code.Unavailable, message: expect.stringContaining(nowhere) });
});

test("a file of credentials that is not there is FAILED_PRECONDITION", async () => {
  const starting = createNatsStore({ servers: nowhere, credentials: { file: "/none.creds" } });
  await expect(starting).rejects.toMatchObject({
    code: Code.FailedPrecondition,
    message: expect.stringContaining("/none.creds"),
  });
});

test.each(["2.10.29", "2.9.0", "1.4.1", "0.11.0"])("a server of version %s is refused", async (version) => {
  const info = { server_id: "x", version, proto: 1, headers: true, max_payload: 1_048_576, jetstream: true };
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on("data", (data) => {
      if (data.includes("PING")) socket.write("PONG\r\n");
    });
  });
  const starting = createNatsStore({ servers: await listen(server), connectTimeoutMs: 5_000 });
  await expect(starting).rejects.toMatchObject({ code: Code.FailedPrecondition, message: expect.stringContaining(version) });
});

describeWith(findTool("nats-server", "NATS_SERVER"), "the start of a store on a NATS server that is alone", (program) => {
  let server: NatsCluster;

  beforeAll(async () => {
    server = await startNats(program, { size: 1 });
  });

  afterAll(() => server.stop());

  const start = (options: Partial<NatsStoreOptions>) =>
    createNatsStore({ servers: server.servers, replicas: 1, connectTimeoutMs: 3_000, ...options });

  test("with one replica it serves, and finds what was there", async () => {
    for (const length of [1, 2]) {
      const store = await start({ prefix: "alone" });
      expect(await store.append("a", [new Uint8Array(1)], { expectedLength: length - 1 })).toBe(length);
      await (await store.lease(`k${length}`, new Uint8Array(), 60_000)).renew();
      await store.close();
    }
    await server.kill(0);
    await server.start(0);
    const store = await start({ prefix: "alone", connectTimeoutMs: 10_000 });
    expect(await store.logs("")).toMatchObject([{ name: "a", length: 2 }]);
    await store.close();
  });

  test("three replicas are refused", async () => {
    await expect(start({ replicas: 3 })).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: expect.stringContaining("alone"),
    });
  });

  test.each<[what: string, config: Partial<StreamConfig> & { name: string }, message: string]>([
    ["with a stream's name", { name: "other-logs-0", subjects: ["other.log.0.>"] }, "other-logs-0"],
    ["with a stream's subjects", { name: "mine", subjects: ["other.lease.>"] }, "somebody else's"],
    [
      "that was one of ours and has been changed",
      { name: "other-logs-1", subjects: ["other.log.1.>"], metadata: { "convoke-format": "1" }, max_age: 1e12 },
      "other-logs-1",
    ],
  ])("a stream %s is refused, and left as it is", async (_, config, message) => {
    const connection = await connect({ servers: [...server.servers] });
    const manager = await jetstreamManager(connection);
    await manager.streams.add(config);
    await expect(start({ prefix: "other" })).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: expect.stringContaining(message),
    });
    expect((await manager.streams.info(config.name)).config.subjects).toEqual(config.subjects);
    await connection.close();
    await server.deleteStreams("other");
    await server.deleteStreams("mine");
  });
});

describeWith(findTool("nats-server", "NATS_SERVER"), "who a NATS server lets in", (program) => {
  const running: NatsCluster[] = [];

  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop();
  });

  test("JetStream that is off is FAILED_PRECONDITION", async () => {
    const server = await startNats(program, { size: 1, jetStream: false });
    running.push(server);
    const starting = createNatsStore({ servers: server.servers });
    await expect(starting).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: expect.stringContaining("JetStream is off"),
    });
  });

  test.each<[kind: string, config: string, right: NatsStoreOptions["credentials"], wrong: NatsStoreOptions["credentials"]]>([
    [
      "user and password",
      'authorization { user: ana, password: "right-secret" }',
      { user: "ana", password: "right-secret" },
      { user: "ana", password: "wrong-secret" },
    ],
    ["token", 'authorization { token: "right-secret" }', { token: "right-secret" }, { token: "wrong-secret" }],
  ])("by %s; a wrong one is FAILED_PRECONDITION and not repeated", async (_, config, right, wrong) => {
    const server = await startNats(program, { size: 1, config, credentials: right });
    running.push(server);
    const options = { servers: server.servers, replicas: 1, connectTimeoutMs: 5_000 };
    const store = await createNatsStore({ ...options, ...(right !== undefined && { credentials: right }) });
    expect(await store.append("a", [new Uint8Array(1)])).toBe(1);
    await store.close();
    for (const credentials of [wrong, undefined]) {
      const starting = createNatsStore({ ...options, ...(credentials !== undefined && { credentials }) });
      const thrown = await starting.catch((thrown: unknown) => thrown);
      expect(thrown).toMatchObject({ code: Code.FailedPrecondition });
      expect(`${thrown}`).not.toContain("secret");
    }
  });

  test("over TLS; a server that is not known gets nothing, nor does a client without its certificate", async () => {
    const folder = await mkdtemp(join(tmpdir(), "convoke-nats-tls-"));
    const { cert, key } = await createCertificate();
    await writeFile(join(folder, "cert.pem"), cert);
    await writeFile(join(folder, "key.pem"), key);
    const paths = `cert_file: "${join(folder, "cert.pem")}", key_file: "${join(folder, "key.pem")}"`;
    const config = `tls { ${paths}, ca_file: "${join(folder, "cert.pem")}", verify: true }`;
    const server = await startNats(program, { size: 1, config, tls: { ca: cert, cert, key } });
    running.push(server);
    const options = { servers: server.servers, replicas: 1, connectTimeoutMs: 1_500 };
    const store = await createNatsStore({ ...options, connectTimeoutMs: 5_000, tls: { ca: cert, certificate: cert, key } });
    expect(await store.append("a", [new Uint8Array(1)])).toBe(1);
    await store.close();
    for (const tls of [{ certificate: cert, key }, { ca: cert }]) {
      await expect(createNatsStore({ ...options, tls })).rejects.toMatchObject({ code: Code.Unavailable });
    }
    await rm(folder, { recursive: true });
  });
});
