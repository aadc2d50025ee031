import { Code, createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../gen/health/v1/health_pb.js";
import { AgentService } from "../src/contract/index.ts";
import { issueCertificate } from "../src/identity/index.ts";
import { connect, type Server } from "../src/index.ts";
import { createTransport } from "../src/wire/index.ts";
import { createGate } from "./support/agents.ts";
import { exampleAuthority } from "./support/authority.ts";
import { startServer } from "./support/server.ts";

const open = new Set<{ close(): void }>();
afterAll(() => {
  for (const each of open) each.close();
});

const urlOf = ({ probePort }: Server) => `http://127.0.0.1:${probePort}`;

function probing(server: Server) {
  const transport = createTransport({ baseUrl: urlOf(server) });
  open.add(transport);
  return { health: createClient(Health, transport), agents: createClient(AgentService, transport) };
}

async function get(server: Server, path: string): Promise<[status: number, body: string]> {
  const response = await fetch(`${urlOf(server)}${path}`);
  return [response.status, (await response.text()).trim()];
}

/** A server that takes callers with a certificate alone. */
async function startStrict(options: Parameters<typeof startServer>[0] = {}): Promise<Server> {
  const authority = await exampleAuthority();
  const { certificate, key } = await issueCertificate(authority, { name: "server" });
  return startServer({
    probePort: 0,
    tls: { cert: certificate, key, clientCa: authority.certificate },
    access: { trustDomains: ["example.org"] },
    ...options,
  });
}

test("probes are answered without a certificate where callers need one", async () => {
  const server = await startStrict();
  expect(await get(server, "/livez")).toEqual([200, "alive"]);
  expect(await get(server, "/readyz?verbose")).toEqual([200, "ready"]);
  expect((await probing(server).health.check({})).status).toBe(ServingStatus.SERVING);
});

test("nothing else is", async () => {
  const server = await startStrict();
  for (const path of ["/", "/agents.json", "/livez/x"]) expect((await get(server, path))[0]).toBe(404);
  await expect(probing(server).agents.processTask({ content: "x" })).rejects.toMatchObject({ code: Code.Unimplemented });
});

test("a server that drains is alive and not ready, until it has answered", async () => {
  const gate = createGate();
  const server = await startServer({ agents: [gate.agent], probePort: 0 });
  const agents = connect(server.url);
  open.add(agents);
  const answer = agents.process("x");
  await gate.running;
  const { health } = probing(server);
  const statuses = health.watch({})[Symbol.asyncIterator]();
  expect((await statuses.next()).value?.status).toBe(ServingStatus.SERVING);
  const closed = server.close();
  expect((await statuses.next()).value?.status).toBe(ServingStatus.NOT_SERVING);
  expect(await get(server, "/readyz")).toEqual([503, "draining"]);
  expect(await get(server, "/livez")).toEqual([200, "alive"]);
  gate.open();
  expect((await answer).content).toBe("first second");
  await closed;
  await expect(fetch(`${urlOf(server)}/livez`)).rejects.toThrow();
});

test("without a port there are none", async () => {
  expect((await startServer()).probePort).toBeUndefined();
});
