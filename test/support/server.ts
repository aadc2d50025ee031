import { once } from "node:events";
import { createServer as createHttp2Server, type Http2Server } from "node:http2";
import { type Agents, connect, type ServeOptions, type Server, serve } from "../../src/index.ts";
import type { CallDefaults } from "../../src/web/index.ts";
import { asking, echo, failing, remembering } from "./agents.ts";

/** Servers of the tests that run; closed after each test file. */
const servers = new Set<Server>();

/** A real server on a free port, silent, with the test agents unless others are given. */
export async function startServer(options: Partial<ServeOptions> = {}): Promise<Server> {
  const server = await serve({
    agents: [echo, failing, asking, remembering],
    port: 0,
    signals: false,
    log: { level: "silent" },
    ...options,
  });
  servers.add(server);
  return server;
}

const clients = new Set<Agents>();

/** A client of a server of its own. */
export async function startClient(options: Partial<ServeOptions> = {}, defaults: CallDefaults = {}): Promise<Agents> {
  const agents = connect({ ...defaults, url: (await startServer(options)).url });
  clients.add(agents);
  return agents;
}

/** A server of HTTP/2 whose every connection breaks when it is one, and has brought a request. It does not listen yet. */
export function losesConnections(): Http2Server {
  const server = createHttp2Server();
  server.prependListener("connection", (socket) =>
    server.once("session", (session) => {
      const isThere = once(session, "localSettings"); // the client has acknowledged them
      session.once("stream", () => void isThere.then(() => socket.destroy()));
    }),
  );
  return server;
}

afterAll(async () => {
  for (const agents of clients) agents.close();
  await Promise.all([...servers].map((server) => server.close({ graceMs: 0 })));
});
