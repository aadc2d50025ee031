import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { create, toBinary } from "@bufbuild/protobuf";
import { TaskRequestSchema } from "../src/contract/index.ts";
import { connect, type Server } from "../src/index.ts";
import { createGate, echo } from "./support/agents.ts";
import { createCertificate } from "./support/certificate.ts";
import { createRandom, mutate, type Random, seed } from "./support/random.ts";
import { envelope, http2Request, tcpExchange } from "./support/raw.ts";
import { startServer } from "./support/server.ts";

const processTask = "/agent.v1.AgentService/ProcessTask";
const message = Buffer.from(toBinary(TaskRequestSchema, create(TaskRequestSchema, { content: "hello there", taskId: "m" })));

async function stillAnswers(server: Server): Promise<void> {
  const agents = connect(server.url);
  expect((await agents.agent("echo").process("still there")).content).toBe("still there ");
  agents.close();
}

/** An HTTP/2 frame (RFC 9113, section 4.1). */
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const http1 = Buffer.from(
  `POST ${processTask} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"content":"x"}`,
);
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const settings = frame(4, 0, 0);
/** `:method: POST`, `:scheme: http`, `:path: /` from the static table (RFC 7541, appendix A). */
const post = Buffer.from([0x83, 0x86, 0x84]);
const repeat = (count: number, bytes: (index: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => bytes(index)));
const resetBurst = repeat(3_000, (index) =>
  Buffer.concat([frame(1, 4, 2 * index + 1, post), frame(3, 0, 2 * index + 1, Buffer.from([0, 0, 0, 8]))]),
);

describe("HTTP/2 frames", () => {
  test.each<[what: string, frames: Buffer]>([
    ["no SETTINGS first", frame(1, 4, 1, post)],
    ["DATA on stream 0", Buffer.concat([settings, frame(0, 0, 0, Buffer.alloc(8))])],
    ["DATA on a stream that is not open", Buffer.concat([settings, frame(0, 0, 5, Buffer.alloc(8))])],
    ["HEADERS on an even stream", Buffer.concat([settings, frame(1, 4, 2, post)])],
    ["HEADERS that do not decompress", Buffer.concat([settings, frame(1, 4, 1, Buffer.alloc(16, 0xff))])],
    ["HEADERS without a path", Buffer.concat([settings, frame(1, 5, 1, Buffer.from([0x83, 0x86]))])],
    ["a frame over the size that was agreed", Buffer.concat([settings, frame(0, 0, 1, Buffer.alloc(20_000))])],
    ["SETTINGS of a length that cannot be", Buffer.concat([frame(4, 0, 0, Buffer.alloc(5))])],
    ["a window update of zero", Buffer.concat([settings, frame(8, 0, 0, Buffer.alloc(4))])],
    ["a window over its bound", Buffer.concat([settings, frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))])],
    ["CONTINUATION without HEADERS", Buffer.concat([settings, frame(9, 4, 1, post)])],
    [
      "CONTINUATION without end",
      Buffer.concat([settings, frame(1, 0, 1, post), repeat(2_000, () => frame(9, 0, 1, Buffer.alloc(64)))]),
    ],
    ["a burst of resets", Buffer.concat([settings, resetBurst])],
    ["a flood of SETTINGS", repeat(5_000, () => settings)],
    ["a flood of PINGs", Buffer.concat([settings, repeat(5_000, () => frame(6, 0, 0, Buffer.alloc(8)))])],
    ["a frame type that nobody knows", Buffer.concat([settings, frame(0xfa, 0xff, 1, Buffer.alloc(32))])],
    ["GOAWAY", Buffer.concat([settings, frame(7, 0, 0, Buffer.alloc(8))])],
    ["half a frame", Buffer.concat([settings, frame(0, 0, 1, Buffer.alloc(64)).subarray(0, 20)])],
  ])("%s: the connection may end, the server does not", async (_what, frames) => {
    const server = await startServer();
    await tcpExchange(server.port, Buffer.concat([preface, frames]));
    await stillAnswers(server);
  });

  test("more than 100 headers, or more than 16 KiB of them, reset the stream", async () => {
    const server = await startServer();
    const many = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`x-${index}`, "v"]));
    for (const headers of [many, { "x-large": "v".repeat(20_000) }]) {
      const { status, reset } = await http2Request(server.url, {
        path: processTask,
        type: "application/json",
        headers,
        body: "{}",
      });
      expect(reset !== 0 || status === 431).toBe(true);
    }
    await stillAnswers(server);
  });

  test("more streams than agreed are refused, those before go on", async () => {
    const gate = createGate();
    const server = await startServer({ agents: [gate.agent, echo], limits: { maxConcurrentStreams: 2 } });
    const session = connectHttp2(server.url);
    await once(session, "remoteSettings");
    const open = () => {
      const stream = session.request({ ":method": "POST", ":path": processTask, "content-type": "application/json" });
      stream.on("error", () => {}); // a refusal shows as the reset code
      stream.end('{"content":"x"}');
      return stream;
    };
    const streams = [open(), open(), open()];
    await gate.running;
    gate.open();
    const codes = await Promise.all(
      streams.map(async (stream) => {
        stream.resume();
        await once(stream, "close");
        return stream.rstCode;
      }),
    );
    expect(codes.every((code) => code === 0 || code === 7)).toBe(true); // Node's client waits for a free stream, or is refused one
    session.close();
    await stillAnswers(server);
  });
});

describe("a client that vanishes", () => {
  test.each(["in the middle of its answer", "in the middle of its request"])(
    "%s frees its task and its connection",
    async (when) => {
      const gate = createGate();
      const server = await startServer({ agents: [gate.agent, echo], limits: { abandonAfterMs: 100 } });
      const socket = connectTcp({ port: server.port, host: "127.0.0.1" });
      const session = connectHttp2(server.url, { createConnection: () => socket });
      session.on("error", () => {}); // it is torn down below
      const stream = session.request({
        ":method": "POST",
        ":path": "/agent.v1.AgentService/StreamResponse",
        "content-type": "application/grpc",
      });
      stream.on("error", () => {});
      if (when === "in the middle of its answer") {
        stream.end(envelope(message));
        await gate.running;
        socket.destroy();
        await gate.stopped;
      } else {
        stream.write(envelope(message).subarray(0, 9));
        await once(session, "remoteSettings");
        socket.destroy();
      }
      await stillAnswers(server);
      await server.close({ graceMs: 60_000 }); // returns at once: nothing is left in flight
    },
  );

  test.each<[when: string, sent: Buffer | string]>([
    ["at once", ""],
    ["in the middle of the HTTP/2 preface", preface.subarray(0, 9)],
    ["after the HTTP/2 preface", preface],
    ["after an HTTP/2 request", Buffer.concat([preface, settings, frame(1, 4, 1, post)])],
    ["in the middle of HTTP/1.1 headers", http1.subarray(0, 30)],
    ["after an HTTP/1.1 request", http1],
    ["in the middle of an HTTP/1.1 body", http1.subarray(0, http1.length - 5)],
  ])("by a TCP reset %s harms nobody, in clear text or with TLS", async (_when, sent) => {
    for (const tls of [undefined, await createCertificate()]) {
      const server = await startServer(tls === undefined ? {} : { tls });
      const socket = connectTcp({ port: server.port, host: "127.0.0.1" });
      await once(socket, "connect");
      if (sent.length > 0) await new Promise<void>((resolve) => socket.write(sent, () => resolve()));
      socket.resetAndDestroy();
      await once(socket, "close");
      const agents = connect({ url: server.url, ...(tls && { tls: { ca: tls.cert } }) });
      expect((await agents.process("still there")).content).toBe("still there ");
      agents.close();
    }
  });

  test("over HTTP/1.1 stops its task too", async () => {
    const gate = createGate();
    const server = await startServer({ agents: [gate.agent, echo] });
    const socket = connectTcp({ port: server.port, host: "127.0.0.1" });
    const body = '{"content":"x"}';
    socket.write(
      `POST ${processTask} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await gate.running;
    socket.destroy();
    await gate.stopped;
    await stillAnswers(server);
  });

  test("a reader that never reads holds the log and no more, and the task ends", async () => {
    const large = "x".repeat(16 * 1024);
    const server = await startServer({
      agents: [
        {
          ...echo,
          name: "large",
          async *run() {
            for (let count = 0; count < 100; count++) yield large;
          },
        },
        echo,
      ],
    });
    const session = connectHttp2(server.url);
    session.on("error", () => {});
    const stream = session.request({
      ":method": "POST",
      ":path": "/agent.v1.AgentService/StreamResponse",
      "content-type": "application/grpc",
    });
    stream.on("error", () => {});
    stream.end(envelope(toBinary(TaskRequestSchema, create(TaskRequestSchema, { content: "x", taskId: "large" })) as Buffer)); // bytes are bytes
    await once(stream, "response"); // and then reads nothing
    const agents = connect(server.url);
    for (let done = false; !done; ) done = (await agents.get("large")).nextIndex === 101;
    agents.close();
    session.destroy();
    await stillAnswers(server);
  });
});

const grpcBody = envelope(message);
const types = [
  "application/grpc",
  "application/grpc-web+proto",
  "application/connect+proto",
  "application/proto",
  "application/json",
];

/** One mutated request over one of the wires; it must come to an end. */
async function attack(server: Server, random: Random): Promise<void> {
  const wire = random(types.length + 2);
  if (wire === types.length) await tcpExchange(server.port, mutate(http1, random));
  else if (wire === types.length + 1)
    await tcpExchange(server.port, mutate(Buffer.concat([preface, settings, frame(1, 4, 1, post)]), random));
  else {
    const type = types[wire];
    const body =
      type === "application/json" ? Buffer.from('{"content":"x","metadata":{"a":"b"}}') : wire === 3 ? message : grpcBody;
    const path = random(2) === 0 ? processTask : "/agent.v1.AgentService/Converse";
    await http2Request(server.url, { path, ...(type && { type }), body: mutate(body, random) });
  }
}

test("400 mutated requests are all answered or ended, and leave nothing behind", async () => {
  const random = createRandom(seed);
  const server = await startServer({ limits: { headersTimeoutMs: 1_000, unaryBodyTimeoutMs: 1_000, maxEndedTasks: 10 } });
  const round = async () => {
    for (let count = 0; count < 20; count++) await Promise.all(Array.from({ length: 10 }, () => attack(server, random)));
    await stillAnswers(server);
  };
  try {
    await round(); // caches and compiled code are there from now on
    const before = usedHeapBytes();
    await round();
    expect(usedHeapBytes() - before).toBeLessThan(2 * 1024 * 1024);
    await server.close({ graceMs: 60_000 }); // returns at once: nothing is left in flight
  } catch (thrown) {
    throw new Error(`with SEED=${seed}`, { cause: thrown });
  }
});

function usedHeapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
