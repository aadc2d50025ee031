import { once } from "node:events";
import { request as httpRequest, type OutgoingHttpHeaders } from "node:http";
import { text as readAll } from "node:stream/consumers";
import type { ServeOptions } from "../src/index.ts";
import { startServer } from "./support/server.ts";

const allowed = "https://dashboard.example";

interface Sent {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
}

/** A request with any Host and Origin; `fetch` would set its own. */
async function send({ method = "POST", headers = {} }: Sent, options: Partial<ServeOptions> = {}) {
  const { port } = await startServer({ cors: { origins: [allowed], headers: ["x-tenant"] }, ...options });
  const request = httpRequest({
    port,
    host: "127.0.0.1",
    method,
    path: "/agent.v1.AgentService/ProcessTask",
    headers: { "content-type": "application/json", host: `localhost:${port}`, ...headers },
  });
  request.end(method === "POST" ? '{"content":"hi"}' : undefined);
  const [response] = await once(request, "response");
  return { status: response.statusCode, headers: response.headers, body: await readAll(response) };
}

test("a page of an allowed origin may call and read the answer", async () => {
  const { status, headers } = await send({ headers: { origin: allowed } });
  expect(status).toBe(200);
  expect(headers).toMatchObject({ "access-control-allow-origin": allowed, vary: "Origin" });
  expect(headers["access-control-expose-headers"]).toMatch(/Grpc-Status.*Grpc-Message.*Grpc-Status-Details-Bin/);
});

test("its preflight names methods, headers and how long the answer holds", async () => {
  const { status, headers } = await send({
    method: "OPTIONS",
    headers: { origin: allowed, "access-control-request-method": "POST" },
  });
  expect(status).toBe(204);
  expect(headers["access-control-allow-methods"]).toContain("POST");
  expect(headers["access-control-allow-headers"]).toMatch(/Grpc-Timeout.*x-tenant/);
  expect(Number(headers["access-control-max-age"])).toBeGreaterThan(0);
});

test.each([
  ["POST", "https://evil.example"],
  ["POST", "null"],
  ["POST", "https://dashboard.example.evil.example"],
  ["OPTIONS", "https://evil.example"],
])("%s of the origin %s is PERMISSION_DENIED, without CORS headers", async (method, origin) => {
  const { status, headers, body } = await send({ method, headers: { origin, "access-control-request-method": "POST" } });
  expect(status).toBe(403);
  expect(headers["access-control-allow-origin"]).toBeUndefined();
  expect(JSON.parse(body)).toMatchObject({ code: "permission_denied", details: [{ debug: { reason: "ORIGIN_NOT_ALLOWED" } }] });
});

test("a page of the server itself may call", async () => {
  const headers = { host: "localhost:50051", origin: "http://localhost:50051" };
  expect((await send({ headers })).status).toBe(200);
});

test("on loopback, a browser that was led here by another name is refused (DNS rebinding)", async () => {
  const headers = { host: "evil.example:50051", origin: "http://evil.example:50051" };
  expect((await send({ headers })).status).toBe(403);
  expect((await send({ headers: { host: "evil.example", "sec-fetch-site": "same-origin" } })).status).toBe(403);
  expect((await send({ headers }, { host: "0.0.0.0" })).status).toBe(200);
});
