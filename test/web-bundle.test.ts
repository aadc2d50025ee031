import { createContext, SourceTextModule } from "node:vm";
import { gzipSync } from "node:zlib";
import type * as web from "../src/web/index.ts";
import { bundleWeb, type Chunk } from "./support/bundle.ts";

/** What a page pays for `convoke/web` with both protocols. */
const maxGzipBytes = 40 * 1024;

let chunks: Chunk[];
let code: string;

beforeAll(async () => {
  chunks = await bundleWeb();
  code = chunks.map((chunk) => chunk.code).join("\n");
});

test("the browser client is one chunk that imports nothing", () => {
  expect(chunks.map(({ imports }) => imports)).toEqual([[]]);
});

test.each([
  ["a Node built-in", /["'`]node:/],
  ["a built-in that Vite left out", /__vite-browser-external/],
  ["Node's process", /(?<![\w$.])process(\.|\?\.|\[)/],
  ["Node's Buffer", /(?<![\w$.])Buffer(\.|\?\.|\[|\()/],
])("the browser client does not use %s", (_what, use) => {
  // Protobuf reads one variable of the environment, behind a check that there is one (proto-int64.js).
  expect(code.replaceAll("process.env.BUF_BIGINT_DISABLE", "").replace(/typeof process\.env/, "")).not.toMatch(use);
});

test("the browser client calls where there is nothing of Node's", async () => {
  const context = createContext({ AbortController, AbortSignal, clearTimeout, Headers, setTimeout, TextDecoder, TextEncoder });
  const module = new SourceTextModule(code, { context });
  await module.link((specifier) => Promise.reject(new Error(`there is no ${specifier}`)));
  await module.evaluate();
  const { connect } = module.namespace as typeof web; // the bundle of that very module
  const headers = { "content-type": "application/grpc-web+proto", "grpc-status": "5", "grpc-message": "no such task" };
  const agents = connect({ baseUrl: "http://localhost", fetch: async () => new Response(null, { headers }) });
  await expect(agents.get("task")).rejects.toMatchObject({ code: 5, rawMessage: "no such task" });
});

test("the browser client is at most 40 KiB after gzip", () => {
  expect(gzipSync(code).length).toBeLessThanOrEqual(maxGzipBytes);
});
