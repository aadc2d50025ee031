import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { AgentService, TaskRequestSchema } from "../../gen/agent/agent_pb.js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type Agents, connect } from "../../src/index.ts";
import { type ClosableTransport, createTransport, type TransportOptions } from "../../src/wire/index.ts";
import { startProgram } from "../support/process.ts";
import { describeWith } from "../support/tools.ts";
import { startConnectNodeServer } from "./connect-node-server.ts";
import type { ForeignServer } from "./foreign-server.ts";
import { startGrpcJsServer } from "./grpc-js-server.ts";
import { findPythonWithGrpc, generateStubs } from "./python.ts";

type Wire = Omit<TransportOptions, "baseUrl">;

interface Peer {
  readonly start: () => Promise<ForeignServer>;
  readonly wire: Wire;
  /** Compresses its answers for a client that takes gzip. */
  readonly compresses?: boolean;
}

const failureMessage = "der Kalender ist schreibgeschützt";

/** What every server and this client promise each other. */
function itCalls({ start, wire, compresses = false }: Peer): void {
  let server: ForeignServer;
  const transports: ClosableTransport[] = [];

  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => {
    for (const transport of transports) transport.close();
    server.close();
  });

  const open = (options: Wire = {}): ClosableTransport => {
    const transport = createTransport({ baseUrl: server.url, ...wire, ...options });
    transports.push(transport);
    return transport;
  };
  const client = (options: Wire = {}) => createClient(AgentService, open(options));
  const witnessOf = (taskId: string) => client().processTask({ agentId: "witness", content: taskId });

  test("a unary call", async () => {
    expect(await client().processTask({ taskId: "u-1", content: "größer" })).toMatchObject({
      taskId: "u-1",
      content: "größer",
    });
  });

  test("100 calls at once on one transport, each with its own answer", async () => {
    const { processTask } = client();
    const contents = Array.from({ length: 100 }, (_, index) => `number-${index}`);
    const answers = await Promise.all(contents.map((content) => processTask({ content })));
    expect(answers.map(({ content }) => content)).toEqual(contents);
  });

  test("a server stream, in order", async () => {
    const texts: string[] = [];
    for await (const { text } of client().streamResponse({ content: "one two three" })) texts.push(text);
    expect(texts).toEqual(["one", "two", "three"]);
  });

  test("metadata and trailers, text and binary, of a unary call and of a stream", async () => {
    const binary = Buffer.from([0, 255, 1]).toString("base64").replace(/=+$/, "");
    const heard: (string | null)[] = [];
    const options = {
      headers: { "x-ask": "42", "x-ask-bin": binary },
      onHeader: (header: Headers) => void heard.push(header.get("x-ask"), header.get("x-ask-bin")),
      onTrailer: (trailer: Headers) => void heard.push(trailer.get("x-after"), trailer.get("x-after-bin")),
    };
    await client().processTask({ content: "x" }, options);
    for await (const _ of client().streamResponse({ content: "x" }, options));
    const unpadded = heard.map((value) => value?.replace(/=+$/, "")); // both forms are base64 to gRPC
    expect(unpadded).toEqual(["42", binary, "42", binary, "42", binary, "42", binary]);
  });

  test("an error with its code, its sentence and its details", async () => {
    const error = await failureOf(client().processTask({ agentId: "failing", content: "x" }));
    expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: failureMessage });
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "TESTED", domain: "test" }]);
  });

  test("an error of a stream, after what came before it", async () => {
    const texts: string[] = [];
    const reading = (async () => {
      for await (const { text } of client().streamResponse({ agentId: "failing", content: "one two" })) texts.push(text);
    })();
    const error = await failureOf(reading);
    expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: failureMessage });
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "TESTED", domain: "test" }]);
    expect(texts).toEqual(["one", "two"]);
  });

  test("the server knows the deadline", async () => {
    const { content } = await client().processTask({ agentId: "timed", content: "x" }, { timeoutMs: 25_000 });
    expect(Number(content)).toBeGreaterThan(15_000);
    expect(Number(content)).toBeLessThanOrEqual(25_001);
  });

  test("a deadline that the server tells of", async () => {
    const error = await failureOf(client().processTask({ agentId: "late", content: "x" }, { timeoutMs: 25_000 }));
    expect(error).toMatchObject({ code: Code.DeadlineExceeded, rawMessage: "too late for the server" });
  });

  test("a deadline that comes ends the call on both sides", async () => {
    const taskId = "d-1";
    const error = await failureOf(client().processTask({ taskId, agentId: "waiting", content: "x" }, { timeoutMs: 200 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
    expect((await witnessOf(taskId)).content).toBe("ended");
  });

  test("a deadline in the middle of a stream ends it after what came before", async () => {
    const taskId = "d-2";
    const texts: string[] = [];
    const reading = (async () => {
      const chunks = client().streamResponse({ taskId, agentId: "waiting", content: "x" }, { timeoutMs: 500 });
      for await (const { text } of chunks) texts.push(text);
    })();
    expect((await failureOf(reading)).code).toBe(Code.DeadlineExceeded);
    expect(texts).toEqual(["first"]);
    expect((await witnessOf(taskId)).content).toBe("ended");
  });

  test("a cancel ends the call on both sides", async () => {
    const taskId = "c-1";
    const cancel = new AbortController();
    const reading = (async () => {
      const chunks = client().streamResponse({ taskId, agentId: "waiting", content: "x" }, { signal: cancel.signal });
      for await (const _ of chunks) cancel.abort();
    })();
    expect((await failureOf(reading)).code).toBe(Code.Canceled);
    expect((await witnessOf(taskId)).content).toBe("ended");
  });

  test("leaving a stream early ends the call on the server", async () => {
    const taskId = "c-2";
    const request = create(TaskRequestSchema, { taskId, agentId: "waiting", content: "x" });
    const input = (async function* () {
      yield request;
    })();
    // createClient of Connect hides the iterator's return()
    const response = await open().stream(AgentService.method.streamResponse, undefined, undefined, undefined, input);
    for await (const _ of response.message) break;
    expect((await witnessOf(taskId)).content).toBe("ended");
  });

  test("a message of 3 MiB, there and back", async () => {
    const content = "x".repeat(3 * 1024 * 1024);
    expect((await client().processTask({ content })).content.length).toBe(content.length);
  });

  test("gzip, there and back where the server compresses", async () => {
    const content = "word ".repeat(20_000);
    let header = new Headers();
    const options = {
      headers: { "x-compress": "gzip" },
      onHeader: (received: Headers) => {
        header = received;
      },
    };
    expect((await client({ sendCompression: "gzip" }).processTask({ content }, options)).content).toBe(content);
    const encoding = header.get("grpc-encoding") ?? header.get("content-encoding") ?? "identity";
    expect(encoding).toBe(compresses ? "gzip" : "identity");
  });

  if (wire.httpVersion === "1.1" || wire.protocol === "grpc-web") return; // they carry no stream in both directions at once

  test("a stream in both directions, in lockstep", async () => {
    const answers: string[] = [];
    let answered = () => {};
    async function* turns() {
      for (const content of ["one", "two", "three"]) {
        const next = new Promise<void>((resolve) => {
          answered = resolve;
        });
        yield { content };
        await next; // each turn is sent only when the one before it is answered
      }
    }
    for await (const { text } of client().converse(turns())) {
      answers.push(text);
      answered();
    }
    expect(answers).toEqual(["one!", "two!", "three!"]);
  });
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (thrown: unknown) => ConnectError.from(thrown),
  );
}

describe("to grpc-js", () => itCalls({ start: startGrpcJsServer, wire: { protocol: "grpc" } }));

const wires = (["2", "1.1"] as const).flatMap((httpVersion) =>
  (["grpc", "grpc-web", "connect"] as const)
    .filter((protocol) => httpVersion === "2" || protocol !== "grpc")
    .flatMap((protocol) => (["proto", "json"] as const).map((codec) => ({ httpVersion, protocol, codec }))),
);

describe.each(wires)("to connect-node by $protocol with $codec over HTTP/$httpVersion", (wire) => {
  itCalls({ start: () => startConnectNodeServer(wire.httpVersion), wire, compresses: true });
});

describeWith(await findPythonWithGrpc(), "to Python's grpc.aio", (python) => {
  let stubs: string;

  beforeAll(async () => {
    stubs = await generateStubs(python);
  });
  afterAll(() => rm(stubs, { recursive: true }));

  const start = async () => {
    const script = fileURLToPath(new URL("server.py", import.meta.url));
    const program = startProgram([python, script, stubs], { input: "open" });
    const [, port] = await program.seen(/port (\d+)/);
    return { url: `http://127.0.0.1:${port}`, close: () => program.child.stdin?.end() };
  };
  itCalls({ start, wire: { protocol: "grpc" }, compresses: true });
});

describe.each(["grpc", "grpc-web", "connect"] as const)("connect() by %s to connect-node", (protocol) => {
  let server: ForeignServer;
  let agents: Agents;

  beforeAll(async () => {
    server = await startConnectNodeServer("2");
    agents = connect({ url: server.url, protocol });
  });
  afterAll(() => {
    agents.close();
    server.close();
  });

  test("process and stream", async () => {
    expect((await agents.process("hello")).content).toBe("hello");
    const texts: string[] = [];
    for await (const { text } of agents.stream("one two")) texts.push(text);
    expect(texts).toEqual(["one", "two"]);
  });

  if (protocol === "grpc-web") return; // it carries no stream in both directions at once

  test("converse, turn by turn", async () => {
    const chat = agents.converse();
    chat.send("one");
    const texts: string[] = [];
    for await (const { event } of chat) {
      if (event.case === "text") texts.push(event.value);
      if (event.case !== "turnFinished") continue;
      if (texts.length === 1) chat.send("two");
      else chat.end();
    }
    expect(texts).toEqual(["one", "two"]);
  });
});
