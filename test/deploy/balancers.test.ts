import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import * as grpc from "@grpc/grpc-js";
import { ResourceInfoSchema } from "../../src/contract/index.ts";
import { type Agents, Code, ConnectError, connect, type ServerOptions, Status } from "../../src/index.ts";
import { createTransport } from "../../src/wire/index.ts";
import { createStub } from "../foreign/contract.ts";
import { runCurl } from "../foreign/curl.ts";
import { readEnvelopes } from "../foreign/envelopes.ts";
import { envelope } from "../support/raw.ts";
import { describeWith, findTool } from "../support/tools.ts";
import { Wire } from "../support/wire-service.ts";
import { balancers, type RunningBalancer } from "./balancer.ts";
import { type Replicas, startReplicas } from "./replicas.ts";

const text = (value: string) => create(StringValueSchema, { value });
const service = "/agent.v1.AgentService";
const curl = findTool("curl", "CURL").path ?? "curl";

for (const { tool, start } of balancers) {
  describeWith(tool, `${tool.name} with its configuration of deploy/, before three replicas`, (path) => {
    let replicas: Replicas;
    let balancer: RunningBalancer;
    let folder: string;
    const ends: (() => void)[] = [];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "convoke-balancers-"));
      replicas = await startReplicas();
      balancer = await start(path, replicas.addresses);
    });

    afterEach(() => {
      for (const end of ends.splice(0)) end();
    });

    afterAll(async () => {
      await balancer?.stop();
      await rm(folder, { recursive: true });
    });

    /** Our own client, on one connection. */
    function agents(options: Partial<ServerOptions> = {}): Agents {
      const connected = connect({ url: balancer.url, tls: { ca: balancer.ca }, ...options });
      ends.push(() => connected.close());
      return connected;
    }

    function wire() {
      const transport = createTransport({ baseUrl: balancer.url, tls: { ca: balancer.ca } });
      ends.push(() => transport.close());
      return createClient(Wire, transport);
    }

    test("a call answers", async () => {
      expect(await agents().process("hello there")).toMatchObject({ content: "hello there ", status: Status.COMPLETED });
    });

    test("the first event of a stream arrives before the agent goes on", async () => {
      const gate = replicas.closeGate();
      const chunks = agents({ agent: "gated" }).stream("x")[Symbol.asyncIterator]();
      expect(await chunks.next()).toMatchObject({ value: { text: "first", index: 0 } });
      gate.open();
      expect(await chunks.next()).toMatchObject({ value: { text: " second", index: 1 } });
    });

    test("a conversation goes turn by turn, and ends when its caller has no more to say", async () => {
      const chat = agents().converse();
      const replies = chat[Symbol.asyncIterator]();
      const turn = async (content: string) => {
        chat.send(content);
        let text = "";
        for (;;) {
          const { event } = (await replies.next()).value;
          if (event.case === "text") text += event.value;
          if (event.case === "turnFinished") return text;
        }
      };
      expect(await turn("one")).toBe("one ");
      expect(await turn("two")).toBe("two ");
      chat.end();
      expect(await replies.next()).toMatchObject({ done: true });
    });

    test("an error keeps its code, its sentence and its details", async () => {
      const error = await agents({ agent: "nobody" }).process("x").catch(ConnectError.from);
      expect(error).toMatchObject({ code: Code.NotFound, rawMessage: expect.stringMatching(/^there is no agent "nobody"/) });
      const details = (error as ConnectError).findDetails(ResourceInfoSchema); // as tested just now
      expect(details).toMatchObject([{ resourceType: "agent", resourceName: "nobody" }]);
    });

    test("a deadline ends the call and stops the agent", async () => {
      const gate = replicas.closeGate();
      const answer = agents({ agent: "gated" }).process("x", { timeoutMs: 500 });
      await expect(answer).rejects.toMatchObject({ code: Code.DeadlineExceeded });
      expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
    });

    test("a cancel stops the agent", async () => {
      const gate = replicas.closeGate();
      const cancel = new AbortController();
      const chunks = agents({ agent: "gated" }).stream("x", { signal: cancel.signal })[Symbol.asyncIterator]();
      await chunks.next();
      cancel.abort();
      await expect(chunks.next()).rejects.toMatchObject({ code: Code.Canceled });
      expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
    });

    test("metadata passes, whatever characters its names may have, and so does the time that is left", async () => {
      const got: (string | null)[] = [];
      const { value } = await wire().say(text("x"), {
        timeoutMs: 25_000,
        headers: { "x_head.er": "5" },
        onHeader: (headers) => got.push(headers.get("x_head.er")),
        onTrailer: (trailers) => got.push(trailers.get("x_trail.er")),
      });
      expect(got).toEqual(["5", "5"]);
      expect(Number(value)).toBeGreaterThan(20_000);
    });

    test("a request of 20 MiB in messages of one passes", async () => {
      const mib = 1024 * 1024;
      const messages = async function* () {
        for (let sent = 0; sent < 20; sent++) yield text("x".repeat(mib));
      };
      expect(await wire().join(messages())).toMatchObject({ value: String(20 * mib) });
    });

    test("a stream that its caller does not read holds up no other call of the same connection", async () => {
      const client = wire();
      const pieces = client.list(text("640"))[Symbol.asyncIterator](); // 40 MiB
      await pieces.next();
      const answers = await Promise.all(Array.from({ length: 30 }, () => client.say(text("x"))));
      expect(answers).toHaveLength(30);
      let count = 1;
      for (let step = await pieces.next(); step.done !== true; step = await pieces.next()) count++;
      expect(count).toBe(640);
    });

    test("calls of one client connection are spread over the replicas, those that run at once evenly", async () => {
      const gate = replicas.closeGate();
      const one = agents();
      const names = new Map<string, number>();
      for (let call = 0; call < 30; call++) {
        const { content } = await one.agent("where").process("x");
        names.set(content, (names.get(content) ?? 0) + 1);
      }
      expect([...names.values()].every((count) => count >= 5)).toBe(true);
      const streams = Array.from({ length: 30 }, () => one.agent("gated").stream("x")[Symbol.asyncIterator]());
      await Promise.all(streams.map((stream) => stream.next()));
      expect([...gate.runs]).toEqual(
        expect.arrayContaining([
          ["one", 10],
          ["two", 10],
          ["three", 10],
        ]),
      );
      gate.open();
      await Promise.all(streams.map((stream) => stream.next()));
    });

    test.each(["grpc-web", "connect"] as const)(
      "%s: a stream arrives event by event, an error with its details",
      async (protocol) => {
        const gate = replicas.closeGate();
        const caller = agents({ protocol });
        const chunks = caller.agent("gated").stream("x")[Symbol.asyncIterator]();
        expect(await chunks.next()).toMatchObject({ value: { text: "first" } });
        gate.open();
        expect(await chunks.next()).toMatchObject({ value: { text: " second" } });
        const error = await caller.agent("nobody").process("x").catch(ConnectError.from);
        expect(error).toMatchObject({ code: Code.NotFound, details: [{ type: "google.rpc.ResourceInfo" }] });
      },
    );

    describe.each([
      ["HTTP/1.1", "--http1.1"],
      ["HTTP/2", "--http2"],
    ])("curl over %s", (version, flag) => {
      const flags = () => ["--silent", flag, "--cacert", balancer.caFile];
      const post = (path: string, body: object, ...headers: string[]) => {
        const args = ["content-type: application/json", ...headers].flatMap((header) => ["--header", header]);
        return runCurl(curl, folder, { args: [...flags(), ...args, "--data", JSON.stringify(body), balancer.url + path] });
      };

      test("Connect JSON answers, and errors keep their HTTP status", async () => {
        const answer = await post(`${service}/ProcessTask`, { content: "hello" });
        expect(answer).toMatchObject({ version, status: 200 });
        expect(JSON.parse(answer.body.toString())).toMatchObject({ content: "hello " });
        expect((await post(`${service}/ProcessTask`, { agentId: "nobody", content: "x" })).status).toBe(404);
      });

      test("a stream of Connect JSON arrives before the agent goes on", async () => {
        const gate = replicas.closeGate();
        const args = [
          "--no-buffer",
          "--noproxy",
          "*",
          "--header",
          "content-type: application/connect+json",
          "--data-binary",
          "@-",
        ];
        const child = spawn(curl, [...flags(), ...args, `${balancer.url}${service}/StreamResponse`]);
        child.stdin.end(envelope('{"agentId":"gated","content":"x"}'));
        const [first] = await once(child.stdout, "data");
        expect(JSON.parse(readEnvelopes(first)[0]?.data.toString() ?? "")).toMatchObject({ text: "first" });
        gate.open();
        expect(await once(child, "close")).toEqual([0, null]);
      });

      test("the page is served, and may call; pages of others may not", async () => {
        const page = await runCurl(curl, folder, { args: [...flags(), balancer.url] });
        expect(page.headers.get("content-type")).toMatch(/^text\/html/);
        const { length } = page.body;
        expect(page.headers.get("content-length")).toBe(String(length));
        expect((await post(`${service}/ProcessTask`, { content: "x" }, `origin: ${balancer.url}`)).status).toBe(200);
        expect((await post(`${service}/ProcessTask`, { content: "x" }, "origin: https://other.example")).status).toBe(403);
      });
    });

    describe("grpc-js", () => {
      const agentService = "agent.v1.AgentService";
      type Reply = Record<string, unknown>;
      interface Stub extends grpc.Client {
        ProcessTask(
          request: object,
          options: grpc.CallOptions,
          done: (error: grpc.ServiceError | null, reply?: Reply) => void,
        ): void;
        StreamResponse(request: object): grpc.ClientReadableStream<Reply>;
        Converse(): grpc.ClientDuplexStream<object, Reply>;
      }

      function stub() {
        const client = createStub<Stub>(agentService, balancer.address, {
          credentials: grpc.credentials.createSsl(Buffer.from(balancer.ca)),
          "grpc.enable_http_proxy": 0,
          "grpc.ssl_target_name_override": "localhost", // TLS takes no address for a name (RFC 6066, section 3)
        });
        ends.push(() => client.close());
        return client;
      }

      const outcome = (request: object, options: grpc.CallOptions = {}) =>
        new Promise((resolve) => stub().ProcessTask(request, options, (error, reply) => resolve(error ?? reply)));

      test("a call answers, an error keeps its code and details, a deadline ends it", async () => {
        replicas.closeGate();
        expect(await outcome({ content: "hello" })).toMatchObject({ content: "hello " });
        const error = await outcome({ agent_id: "nobody", content: "x" });
        expect(error).toMatchObject({ code: grpc.status.NOT_FOUND });
        expect((error as grpc.ServiceError).metadata.get("grpc-status-details-bin")).toHaveLength(1); // as tested just now
        const late = outcome({ agent_id: "gated", content: "x" }, { deadline: Date.now() + 500 });
        expect(await late).toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
      });

      test("a stream arrives event by event, and a cancel stops the agent", async () => {
        const gate = replicas.closeGate();
        const stream = stub().StreamResponse({ agent_id: "gated", content: "x" });
        const failed = once(stream, "error");
        expect((await once(stream, "data"))[0]).toMatchObject({ text: "first" });
        stream.cancel();
        expect((await failed)[0]).toMatchObject({ code: grpc.status.CANCELLED });
        expect(await gate.stopped).toMatchObject({ name: "ConnectError" });
      });

      test("a conversation goes turn by turn, and ends when its caller has no more to say", async () => {
        const stream = stub().Converse();
        const replies = stream[Symbol.asyncIterator]();
        for (const content of ["one", "two"]) {
          stream.write({ start_turn: { content } });
          expect((await replies.next()).value).toMatchObject({ text: `${content} ` });
          while ((await replies.next()).value["event"] !== "turn_finished");
        }
        stream.end();
        expect(await replies.next()).toMatchObject({ done: true });
      });
    });
  });
}
