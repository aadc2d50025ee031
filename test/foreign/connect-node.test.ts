import { Code, ConnectError, createClient, type HandlerContext, type ServiceImpl, type Transport } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { startServer } from "../support/server.ts";
import { Wire } from "../support/wire-service.ts";

type HttpVersion = "1.1" | "2";

interface Choices {
  readonly baseUrl: string;
  readonly sendCompression?: Compression;
  readonly acceptCompression?: Compression[];
}

type Create = (options: Choices) => Transport;

/** Each of connect-node's transports on each HTTP version that carries it. */
const transports: [name: string, httpVersion: HttpVersion, create: Create][] = [
  ["gRPC", "2", createGrpcTransport],
  ...(["2", "1.1"] as const).flatMap((httpVersion): typeof transports => [
    ["gRPC-Web", httpVersion, (options) => createGrpcWebTransport({ ...options, httpVersion })],
    ["Connect", httpVersion, (options) => createConnectTransport({ ...options, httpVersion })],
  ]),
];

/** Messages and answers of this length are worth compressing. */
const long = "word ".repeat(20_000);

/** Answers, and tells in the metadata what came with the call. */
const wire: ServiceImpl<typeof Wire> = {
  say({ value }, context) {
    tell(context);
    if (value === "fail") throw failure();
    return { value };
  },
  async *list({ value }, context) {
    tell(context);
    for (const each of value.split(",")) {
      if (each === "fail") throw failure();
      yield { value: each };
    }
  },
  async join(messages, context) {
    tell(context);
    const values: string[] = [];
    for await (const { value } of messages) values.push(value);
    return { value: values.join("+") };
  },
  async *chat(messages, context) {
    tell(context);
    for await (const { value } of messages) yield { value: `${value}!` };
  },
};

function tell({ requestHeader, requestMethod, responseHeader, responseTrailer }: HandlerContext): void {
  responseHeader.set("x-method", requestMethod);
  const encodings = ["content-encoding", "connect-content-encoding", "grpc-encoding"].map((name) => requestHeader.get(name));
  responseHeader.set("x-encoding", encodings.find((encoding) => encoding !== null) ?? "none");
  for (const [name, value] of requestHeader) {
    if (name.startsWith("x-ask")) responseHeader.append(name, value);
    if (name.startsWith("x-ask")) responseTrailer.append(name.replace("x-ask", "x-after"), value);
  }
}

function failure(): ConnectError {
  const details = [{ desc: ErrorInfoSchema, value: { reason: "TESTED", domain: "test" } }];
  return new ConnectError("der Kalender ist schreibgeschützt", Code.FailedPrecondition, { "x-failed": "yes" }, details);
}

let url: string;

beforeAll(async () => {
  ({ url } = await startServer({ services: (router) => router.service(Wire, wire) }));
});

async function collect(messages: AsyncIterable<{ value: string }>): Promise<string[]> {
  const values: string[] = [];
  for await (const { value } of messages) values.push(value);
  return values;
}

async function* each(...values: string[]) {
  for (const value of values) yield { value };
}

/** Keeps what a call's metadata were. */
function createEar() {
  const heard = { header: new Headers(), trailer: new Headers() };
  const options = {
    onHeader: (header: Headers) => {
      heard.header = header;
    },
    onTrailer: (trailer: Headers) => {
      heard.trailer = trailer;
    },
  };
  return { heard, options };
}

describe.each(transports)("connect-node's %s over HTTP/%s", (name, httpVersion, create) => {
  const client = (options: Omit<Choices, "baseUrl"> = {}) => createClient(Wire, create({ baseUrl: url, ...options }));

  test("a client stream is one answer to many messages", async () => {
    expect((await client().join(each("a", "b", "c"))).value).toBe("a+b+c");
  });

  test("an empty client stream is answered", async () => {
    expect((await client().join(each())).value).toBe("");
  });

  test.each([compressionGzip, compressionBrotli])("$name goes both ways on a unary call", async (compression) => {
    const { heard, options } = createEar();
    const calls = client({ sendCompression: compression, acceptCompression: [compression] });
    expect((await calls.say({ value: long }, options)).value).toBe(long);
    expect(heard.header.get("x-encoding")).toBe(compression.name);
    expect(heard.header.get(name === "Connect" ? "content-encoding" : "grpc-encoding")).toBe(compression.name);
  });

  test.each([compressionGzip, compressionBrotli])("$name goes both ways on streams", async (compression) => {
    const { heard, options } = createEar();
    const calls = client({ sendCompression: compression, acceptCompression: [compression] });
    expect(await collect(calls.list({ value: `${long},short,${long}` }, options))).toEqual([long, "short", long]);
    expect(heard.header.get("x-encoding")).toBe(compression.name);
    expect(heard.header.get(name === "Connect" ? "connect-content-encoding" : "grpc-encoding")).toBe(compression.name);
    expect((await calls.join(each(long, "short"))).value).toBe(`${long}+short`);
  });

  test("who accepts no compression gets none", async () => {
    const { heard, options } = createEar();
    expect((await client({ acceptCompression: [] }).say({ value: long }, options)).value).toBe(long);
    expect([...heard.header.keys()].filter((key) => key.endsWith("-encoding"))).toEqual(["x-encoding"]);
  });

  test("metadata go both ways, text and binary, in front and behind", async () => {
    const { heard, options } = createEar();
    const binary = Buffer.from([0, 255, 1]).toString("base64").replace(/=+$/, "");
    await client().say({ value: "x" }, { ...options, headers: { "x-ask": "42", "x-ask-bin": binary } });
    expect([heard.header.get("x-ask"), heard.header.get("x-ask-bin")]).toEqual(["42", binary]);
    expect([heard.trailer.get("x-after"), heard.trailer.get("x-after-bin")]).toEqual(["42", binary]);
  });

  test.each<[kind: string, call: () => Promise<unknown>]>([
    ["unary call", () => client().say({ value: "fail" })],
    ["stream", () => collect(client().list({ value: "a,fail" }))],
  ])("an error of a %s has its code, its sentence, its details and its metadata", async (_kind, call) => {
    const error = await call().then(() => undefined, ConnectError.from);
    expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: "der Kalender ist schreibgeschützt" });
    expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "TESTED", domain: "test" }]);
    expect(error?.metadata.get("x-failed")).toBe("yes");
  });

  if (httpVersion === "1.1") return; // it carries no stream in both directions at once

  test("a stream in both directions answers each message as it comes", async () => {
    const answers: string[] = [];
    let answered = () => {};
    async function* questions() {
      for (const value of ["a", "b"]) {
        const next = new Promise<void>((resolve) => {
          answered = resolve;
        });
        yield { value };
        await next;
      }
    }
    for await (const { value } of client().chat(questions())) {
      answers.push(value);
      answered();
    }
    expect(answers).toEqual(["a!", "b!"]);
  });
});

describe.each(["2", "1.1"] as const)("connect-node's Connect GET over HTTP/%s", (httpVersion) => {
  test.each([true, false])("carries the message in the query (binary: %s)", async (useBinaryFormat) => {
    const { heard, options } = createEar();
    const transport = createConnectTransport({ baseUrl: url, httpVersion, useHttpGet: true, useBinaryFormat });
    expect((await createClient(Wire, transport).say({ value: "größer & mehr" }, options)).value).toBe("größer & mehr");
    expect(heard.header.get("x-method")).toBe("GET");
  });

  test("carries a compressed message in the query", async () => {
    const { heard, options } = createEar();
    const sendCompression = compressionGzip;
    const transport = createConnectTransport({ baseUrl: url, httpVersion, useHttpGet: true, sendCompression });
    expect((await createClient(Wire, transport).say({ value: long }, options)).value).toBe(long);
    expect(heard.header.get("x-method")).toBe("GET");
    expect(heard.header.get("content-encoding")).toBe("gzip");
  });
});
