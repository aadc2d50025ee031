import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Server as TcpServer } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { AgentService, type Contract, ContractSchema, PreconditionFailureSchema } from "../src/contract/index.ts";
import { type CertificatePair, issueCertificate } from "../src/identity/index.ts";
import { connect, defineAgent, type FoundAgents, type RegistryOptions, type Server } from "../src/index.ts";
import { contractOf } from "../src/registry/index.ts";
import { exampleAuthority } from "./support/authority.ts";
import { startDns } from "./support/dns-server.ts";
import { register, registryClient } from "./support/registry.ts";
import { startServer } from "./support/server.ts";

const clients = new Set<{ close(): void }>();
afterAll(() => {
  for (const agents of clients) agents.close();
});

/** The agents that a registry knows. The first call waits until there is one. */
function find(registry: Server, options: Partial<RegistryOptions> = {}): FoundAgents {
  const found = connect({ registry: registry.url, waitForReady: true, timeoutMs: 10_000, ...options });
  clients.add(found);
  return found;
}

/** An agent that says its name, and whom it was asked by. */
function naming(name: string, ...capabilities: string[]) {
  return defineAgent({
    name,
    capabilities,
    async *run(_task, { caller }) {
      yield `${name} to ${caller.name}`;
    },
  });
}

async function first<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  for await (const item of items) return item;
  return undefined;
}

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  return ConnectError.from(
    await call.then(
      () => new Error("it did not fail"),
      (thrown: unknown) => thrown,
    ),
  );
}

function startRegistry(): Promise<Server> {
  return startServer({ agents: [], registry: true });
}

test("a call goes to an agent that can do what is asked, whatever it is called and whatever else its server has", async () => {
  const registry = await startRegistry();
  const register = { registry: registry.url };
  await startServer({ agents: [naming("front"), naming("diary", "schedule")], register });
  await startServer({ agents: [naming("front"), naming("sums", "calculate")], register });
  const found = find(registry);
  expect((await found.capability("schedule").process("x")).content).toBe("diary to anonymous");
  expect((await found.capability("calculate").process("x")).content).toBe("sums to anonymous");
  expect((await found.agent("sums").process("x")).content).toBe("sums to anonymous");
  const chat = found.capability("calculate").converse();
  chat.send("x");
  chat.end();
  const texts: string[] = [];
  for await (const { event } of chat) if (event.case === "text") texts.push(event.value);
  expect(texts).toEqual(["sums to anonymous"]);
  expect((await found.discover({ capability: "schedule" })).map(({ agent }) => agent)).toEqual(["diary"]);
});

test("agents of different names that can do the same share the calls", async () => {
  const registry = await startRegistry();
  for (const name of ["one", "two"]) {
    await startServer({ agents: [naming("front"), naming(name, "schedule")], register: { registry: registry.url } });
  }
  const schedule = find(registry).capability("schedule");
  const answers = new Set<string>();
  while (answers.size < 2) answers.add((await schedule.process("x")).content);
  expect(answers).toEqual(new Set(["one to anonymous", "two to anonymous"]));
});

test("a capability that nobody has is UNAVAILABLE, by its name", async () => {
  const found = find(await startRegistry(), { waitForReady: false });
  const error = await failure(found.capability("fly").process("x"));
  expect(error.code).toBe(Code.Unavailable);
  expect(error.rawMessage).toBe('there is no endpoint of capability "fly"');
});

test("four specialists of one server are called over one connection", async () => {
  const registry = await startRegistry();
  const names = ["a", "b", "c", "d"];
  const agents = names.map((name) => naming(name, name));
  const proxy = await startProxy();
  const server = await startServer({ agents, register: { registry: registry.url, endpoint: proxy.url } });
  proxy.to = server.port;
  const found = find(registry);
  const answers = await Promise.all(names.map((name) => found.capability(name).process("x")));
  expect(answers.map(({ content }) => content)).toEqual(names.map((name) => `${name} to anonymous`));
  expect(proxy.connections).toBe(1);
});

/** Hands every connection on to a server, and counts them. */
async function startProxy() {
  const sockets = new Set<{ destroy(): void }>();
  const server: TcpServer = createServer((socket) => {
    proxy.connections++;
    const other = connectTcp({ port: proxy.to, host: "127.0.0.1" });
    for (const each of [socket, other]) {
      sockets.add(each);
      each.on("error", () => {});
    }
    socket.pipe(other).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // it listens at a port
  const close = () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  const proxy = { url: `http://127.0.0.1:${port}`, connections: 0, to: 0, close };
  clients.add(proxy);
  return proxy;
}

describe("a call that does not fit the endpoint's contract", () => {
  /** Today's contract, changed. */
  function contractWithout(change: (files: FileDescriptorSet["file"]) => void): Contract {
    const set = fromBinary(FileDescriptorSetSchema, contractOf([AgentService]).descriptorSet);
    change(set.file);
    const descriptorSet = toBinary(FileDescriptorSetSchema, set);
    return create(ContractSchema, { descriptorSet, sha256: createHash("sha256").update(descriptorSet).digest("hex") });
  }

  const withoutField = (message: string, name: string) =>
    contractWithout((files) => {
      const found = files.flatMap(({ messageType }) => messageType).find((each) => each.name === message);
      if (found !== undefined) found.field = found.field.filter((field) => field.name !== name);
    });

  const withoutMethod = (name: string) =>
    contractWithout((files) => {
      for (const service of files.flatMap((file) => file.service)) {
        service.method = service.method.filter((method) => method.name !== name);
      }
    });

  /** One server whose record says that it serves this contract. */
  async function startOlder(contract: Contract) {
    let asked = 0;
    const counting = defineAgent({
      name: "older",
      async *run() {
        asked++;
        yield "answered";
      },
    });
    const [registry, server] = await Promise.all([startRegistry(), startServer({ agents: [counting] })]);
    const { sha256: contractSha256 } = contract;
    const record = { name: "older", capabilities: ["old"], url: server.url, contractSha256, contract };
    await register(registryClient(registry.url), record);
    return { registry, found: find(registry), asked: () => asked };
  }

  test("is refused before it is sent, and the field is named", async () => {
    const { found, asked } = await startOlder(withoutField("TaskRequest", "detached"));
    const older = found.agent("older");
    for (const call of [
      older.process({ content: "x", detached: true }),
      first(older.stream({ content: "x", detached: true })),
    ]) {
      const error = await failure(call);
      expect(error.code).toBe(Code.FailedPrecondition);
      expect(error.rawMessage).toMatch(/^http:\S+ serves another contract: agent\.v1\.TaskRequest\.detached is missing$/);
      const violations = [{ type: "CONTRACT", subject: "agent.v1.TaskRequest.detached" }];
      expect(error.findDetails(PreconditionFailureSchema)).toMatchObject([{ violations }]);
    }
    expect(asked()).toBe(0);
  });

  test("passes as long as it does not use what is missing", async () => {
    const { found } = await startOlder(withoutField("TaskRequest", "detached"));
    expect((await found.agent("older").process("x")).content).toBe("answered");
  });

  test("passes when the answer lacks what the caller knows", async () => {
    const { found } = await startOlder(withoutField("TaskResponse", "citations"));
    expect((await found.agent("older").process("x")).content).toBe("answered");
  });

  test("is refused when a field inside is missing", async () => {
    const { found } = await startOlder(withoutField("ToolDefinition", "description"));
    const tool = { name: "t", parametersJsonSchema: "{}" };
    const older = found.agent("older");
    expect((await older.process({ content: "x", availableTools: [tool] })).content).toBe("answered");
    const error = await failure(older.process({ content: "x", availableTools: [{ ...tool, description: "d" }] }));
    expect(error.rawMessage).toMatch(/agent\.v1\.ToolDefinition\.description is missing$/);
  });

  test("is refused when the method is missing", async () => {
    const { found } = await startOlder(withoutMethod("CancelTask"));
    const error = await failure(found.agent("older").cancel("t"));
    expect(error.code).toBe(Code.FailedPrecondition);
    expect(error.rawMessage).toMatch(/agent\.v1\.AgentService\.CancelTask is missing$/);
  });

  test("goes to another endpoint whose contract it fits", async () => {
    const { registry, found, asked } = await startOlder(withoutField("TaskRequest", "capability"));
    const old = found.capability("old"); // which is said in the field
    expect((await failure(old.process("x"))).code).toBe(Code.FailedPrecondition);
    await startServer({ agents: [naming("newer", "old")], register: { registry: registry.url } });
    while ((await old.process("x").catch(() => undefined)) === undefined) await nextTurn(); // a refusal takes no turn of the event loop
    for (let count = 0; count < 10; count++) expect((await old.process("x")).content).toBe("newer to anonymous");
    expect(asked()).toBe(0);
  });
});

describe("an endpoint whose record names an identity", () => {
  const id = (name: string) => `spiffe://example.org/agent/${name}`;
  let authority: CertificatePair;
  let foreign: CertificatePair;

  beforeAll(async () => {
    [authority, foreign] = await Promise.all([exampleAuthority(), exampleAuthority()]);
  });

  async function pairOf(name: string, issuer = authority) {
    const { certificate, key } = await issueCertificate(issuer, { name });
    return { cert: certificate, key };
  }

  /** A server that proves to be one, while its record says another, and a caller that is called `caller`. */
  async function startServerAs(name: string, { recorded = name, issuer = authority, scheme = "https" } = {}) {
    let asked = 0;
    const agent = defineAgent({
      name: "scheduler",
      capabilities: ["schedule"],
      async *run(_task, { caller }) {
        asked++;
        yield `answered ${caller.name}`;
      },
    });
    const secured = scheme === "https";
    const [registry, server] = await Promise.all([
      startRegistry(),
      startServer({
        agents: [agent],
        ...(secured && {
          tls: { ...(await pairOf(name, issuer)), clientCa: authority.certificate },
          access: { trustDomains: ["example.org"] },
        }),
      }),
    ]);
    const url = `${scheme}://127.0.0.1:${server.port}`;
    await register(registryClient(registry.url), { url, identity: id(recorded) });
    const tls = { ca: authority.certificate, ...(await pairOf("caller")) };
    const found = find(registry, { tls, waitForReady: false });
    return { scheduler: found.capability("schedule"), asked: () => asked };
  }

  test("is called when it proves it, and learns who calls", async () => {
    const { scheduler } = await startServerAs("scheduler");
    expect((await scheduler.process("x")).content).toBe(`answered ${id("caller")}`);
  });

  test.each([
    ["proves another one", { recorded: "other" }, `it is ${id("scheduler")}, and has to be ${id("other")}`],
    ["is of a foreign authority", { issuer: "foreign" as const }, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
    ["cannot prove anything", { scheme: "http" }, `has to prove that it is ${id("scheduler")}, which nobody can over http`],
  ])(
    "is not called when it %s",
    async (_what, { issuer, ...options }: { issuer?: "foreign"; recorded?: string; scheme?: string }, why) => {
      const { scheduler, asked } = await startServerAs("scheduler", { ...options, ...(issuer && { issuer: foreign }) });
      const error = await failure(scheduler.process("x"));
      expect(error.code).toBe(Code.Unavailable);
      expect(error.rawMessage).toContain(why);
      expect(asked()).toBe(0);
    },
  );
});

test("an endpoint on another machine gets no credentials in clear text", async () => {
  const registry = await startRegistry();
  await register(registryClient(registry.url), { name: "far", url: "http://10.0.0.1:50051" });
  const found = find(registry, { waitForReady: false, metadata: { authorization: "Bearer secret" } });
  const error = await failure(found.agent("far").process("x"));
  expect(error.code).toBe(Code.Unavailable);
  expect(error.rawMessage).toContain("http://10.0.0.1:50051 would get the authorization header in clear text");
});

test("a server that a name leads to is called over https when there are certificates", async () => {
  const { port } = await startServer();
  const dns = await startDns();
  dns.zone.set("agents.test", [{ type: "A", address: "127.0.0.1" }]);
  const agents = connect({ dns: { name: "agents.test", port, servers: [dns.address] }, tls: {} });
  clients.add(agents);
  expect((await failure(agents.process("x"))).code).toBe(Code.Unavailable); // it speaks clear text
});

test("the servers behind a name share the calls", async () => {
  const one = await startServer({ agents: [naming("one", "schedule")] });
  const dns = await startDns();
  dns.zone.set("agents.test", [{ type: "A", address: "127.0.0.1" }]);
  const agents = connect({ dns: { name: "agents.test", port: one.port, servers: [dns.address] }, waitForReady: true });
  clients.add(agents);
  expect((await agents.process("x")).content).toBe("one to anonymous");
  expect((await agents.capability("schedule").process("x")).content).toBe("one to anonymous");
  expect((await failure(agents.capability("fly").process("x"))).code).toBe(Code.NotFound);
});

test.each(["", "a:b:c", "http://agents:50051"])("%j is no name to look for servers by", (dns) => {
  expect(() => connect({ dns })).toThrow(TypeError);
});
