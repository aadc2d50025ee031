import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTick } from "node:timers/promises";
import { Code, connect, defineAgent } from "../src/index.ts";
import type { Resumption } from "../src/web/index.ts";
import { failure } from "./support/failure.ts";
import { startServer } from "./support/server.ts";

type End = (stream: ServerHttp2Stream) => void;

const ended: End = (stream) => stream.end();
const reset: End = (stream) => stream.destroy(new Error("the server is gone")); // RST_STREAM with INTERNAL_ERROR

/** All of the answer comes, but for its trailers. */
const onlyTrailers: End = () => {};

const closing = new Set<() => void>();
afterAll(() => {
  for (const close of closing) close();
});

/** A proxy that ends the first so many answers after their first bytes, without what comes last. */
async function startProxy(target: string, end: End, times: number) {
  const upstream = connectHttp2(target);
  let left = times;
  const proxy = createServer();
  proxy.on("stream", (stream, headers) => {
    const path = String(headers[":path"]);
    const mayEnd = path.endsWith("/StreamResponse") || path.endsWith("/ProcessTask");
    forward(upstream, { stream, headers, end: mayEnd && left-- > 0 ? end : undefined });
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  closing.add(() => {
    upstream.destroy();
    proxy.close();
  });
  return { url: `http://127.0.0.1:${portOf(proxy)}`, answers: () => times - left };
}

function portOf(server: Http2Server): number {
  return (server.address() as AddressInfo).port; // it listens on a port
}

interface Exchange {
  readonly stream: ServerHttp2Stream;
  readonly headers: Record<string, unknown>;
  readonly end: End | undefined;
}

function forward(upstream: ClientHttp2Session, { stream, headers, end }: Exchange): void {
  const { ":method": method, ":path": path, "content-type": type, te } = headers;
  const request = upstream.request({ ":method": `${method}`, ":path": `${path}`, "content-type": `${type}`, te: `${te}` });
  stream.on("error", () => {});
  request.on("error", () => {});
  stream.pipe(request);
  request.once("response", ({ ":status": status, "content-type": contentType }) => {
    const hasTrailers = end === undefined;
    stream.respond({ ":status": status, "content-type": contentType }, { waitForTrailers: hasTrailers });
    let trailers = {};
    request.once("trailers", ({ "grpc-status": code }) => {
      trailers = { "grpc-status": code };
    });
    stream.once("wantTrailers", () => stream.sendTrailers(trailers));
    if (end === undefined || end === onlyTrailers) request.pipe(stream);
    else
      request.once("data", (bytes: Buffer) => {
        request.pause();
        stream.write(bytes, () => end(stream));
      });
  });
}

const words = Array.from({ length: 20 }, (_, index) => `${index} `);

async function start(end: End, times: number) {
  let runs = 0;
  const agent = defineAgent({
    name: "counting",
    async *run() {
      runs++;
      for (const word of words) {
        await nextTick();
        yield word;
      }
    },
  });
  const server = await startServer({ agents: [agent] });
  const proxy = await startProxy(server.url, end, times);
  const agents = connect(proxy.url);
  closing.add(() => agents.close());
  const resumptions: Resumption[] = [];
  const onResume = (resumption: Resumption) => resumptions.push(resumption);
  return { agents, onResume, resumptions, answers: proxy.answers, runs: () => runs };
}

describe.each<[what: string, end: End]>([
  ["without a grpc-status", ended],
  ["(HTTP/2 error 2)", reset],
])("an answer that a proxy ends, %s,", (what, end) => {
  test("goes on where it was, and the agent runs once", async () => {
    const { agents, onResume, resumptions, runs } = await start(end, 1);
    const indexes: number[] = [];
    let text = "";
    for await (const chunk of agents.stream("count", { onResume })) {
      indexes.push(chunk.index);
      text += chunk.text;
    }
    expect(text).toBe(words.join(""));
    expect(indexes).toEqual([...indexes.keys()]);
    expect(resumptions.map(({ error }) => error.rawMessage)).toEqual([expect.stringContaining(what)]);
    expect(runs()).toBe(1);
  });

  test("whole is asked for again, and the agent runs once", async () => {
    const { agents, onResume, resumptions, runs } = await start(end, 2);
    expect((await agents.process("count", { onResume })).content).toBe(words.join(""));
    expect(resumptions.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(runs()).toBe(1);
  });
});

test("a way on which no answer has an end is given up after three more attempts, with what is wrong", async () => {
  const { agents, onResume, answers, runs } = await start(ended, Number.MAX_SAFE_INTEGER);
  const before = answers();
  const error = await failure(agents.process("count", { onResume }));
  expect(error).toMatchObject({ code: Code.Internal, rawMessage: "the response ended without a grpc-status" });
  expect(answers() - before).toBe(4);
  expect(runs()).toBe(1);
});

test("a stream is whole with its last chunk, whatever becomes of its trailers", async () => {
  const { agents, onResume, resumptions } = await start(onlyTrailers, 1);
  let text = "";
  for await (const chunk of agents.stream("count", { onResume })) text += chunk.text;
  expect(text).toBe(words.join(""));
  expect(resumptions).toEqual([]);
});
