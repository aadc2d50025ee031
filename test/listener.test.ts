import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import { text as readAll } from "node:stream/consumers";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../gen/health/v1/health_pb.js";
import { AgentService } from "../src/contract/index.ts";
import { connect, type Server, Status } from "../src/index.ts";
import { createGate, echo } from "./support/agents.ts";
import { createCertificate } from "./support/certificate.ts";
import { startServer } from "./support/server.ts";

const body = '{"content":"hi"}';
const http1Request = [
  "POST /agent.v1.AgentService/ProcessTask HTTP/1.1",
  "host: localhost",
  "content-type: application/json",
  `content-length: ${body.length}`,
  "connection: close",
  "",
  body,
].join("\r\n");

/** The HTTP/2 preface, an empty SETTINGS frame, and a PING. */
const http2Opening = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
]);

async function tcp(server: Server): Promise<Socket> {
  const socket = connectTcp({ port: server.port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** Sends byte by byte, each in a packet of its own. */
async function sendSlowly(socket: Socket, bytes: Buffer): Promise<void> {
  for (const byte of bytes) {
    await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("one port in clear text", () => {
  test("takes HTTP/1.1 that arrives byte by byte", async () => {
    const socket = await tcp(await startServer());
    const answer = readAll(socket);
    await sendSlowly(socket, Buffer.from(http1Request));
    expect(await answer).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*"content":"hi "/);
  });

  test("takes HTTP/2 that arrives byte by byte", async () => {
    const socket = await tcp(await startServer());
    const seen: Buffer[] = [];
    const pinged = new Promise<void>((resolve) => {
      socket.on("data", (chunk) => {
        seen.push(chunk);
        if (Buffer.concat(seen).includes(Buffer.from([0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]))) resolve();
      });
    });
    await sendSlowly(socket, http2Opening);
    await pinged;
    socket.destroy();
  });

  test.each([
    ["silent", ""],
    ["silent after the beginning of the HTTP/2 preface", "PRI * HT"],
    ["silent in the middle of HTTP/1.1 headers", "POST / HTTP/1.1\r\nhost: x\r\n"],
  ])("a peer that stays %s is let go of, and others are served", async (_what, opening) => {
    const server = await startServer({ limits: { headersTimeoutMs: 150 } });
    const socket = await tcp(server);
    socket.resume();
    const closed = once(socket, "close");
    if (opening !== "") socket.write(opening);
    await closed;
    const agents = connect(server.url);
    expect((await agents.process("hi")).content).toBe("hi ");
    agents.close();
  });

  test.each([
    ["nothing", ""],
    ["a part of the preface", "PRI * HTTP/2.0\r\n"],
    ["noise", "\0\u0001\u0002\u0003"],
    ["the preface and then noise", `${http2Opening.subarray(0, 24)}${"\u00ff".repeat(64)}`],
  ])("a peer that sends %s and leaves does no harm", async (_what, bytes) => {
    const server = await startServer();
    const socket = await tcp(server);
    socket.resume().end(bytes, "latin1");
    await once(socket, "close");
    const agents = connect(server.url);
    expect((await agents.process("hi")).content).toBe("hi ");
    agents.close();
  });

  test("connections over the bound are closed, those before it are served", async () => {
    const server = await startServer({ limits: { maxConnectionsPerAddress: 1 } });
    const agents = connect(server.url);
    expect((await agents.process("hi")).content).toBe("hi ");
    const second = await tcp(server);
    second.resume();
    await once(second, "close");
    expect((await agents.process("hi")).content).toBe("hi ");
    agents.close();
  });

  test("announces its bounds in the HTTP/2 settings", async () => {
    const { url } = await startServer({ limits: { maxConcurrentStreams: 7 } });
    const session = connectHttp2(url);
    const [settings] = await once(session, "remoteSettings");
    expect(settings).toMatchObject({ maxConcurrentStreams: 7, initialWindowSize: 1024 * 1024, maxHeaderListSize: 16 * 1024 });
    session.close();
  });
});

describe("a request message that does not come", () => {
  test("ends an HTTP/1.1 call with DEADLINE_EXCEEDED and closes the connection", async () => {
    const socket = await tcp(await startServer({ limits: { unaryBodyTimeoutMs: 100 } }));
    socket.write(`${http1Request.slice(0, http1Request.indexOf("\r\n\r\n")).replace("\r\nconnection: close", "")}\r\n\r\n{`);
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 504 [\s\S]*"deadline_exceeded"[\s\S]*did not arrive within 100 ms/);
  });

  test("ends an HTTP/2 call with DEADLINE_EXCEEDED, and the connection goes on", async () => {
    const { url } = await startServer({ limits: { unaryBodyTimeoutMs: 100 } });
    const session = connectHttp2(url);
    const open = () =>
      session.request({ ":method": "POST", ":path": "/agent.v1.AgentService/ProcessTask", "content-type": "application/grpc" });
    const slow = open();
    slow.write(Buffer.from([0, 0, 0, 0, 4, 0x1a]));
    const [head] = await once(slow.resume(), "response"); // "Trailers-Only"
    expect(head["grpc-status"]).toBe("4");
    const next = open();
    next.end(Buffer.from([0, 0, 0, 0, 4, 0x1a, 2, 0x68, 0x69]));
    expect((await once(next.resume(), "trailers"))[0]["grpc-status"]).toBe("0");
    session.destroy();
  });

  test("does not end a conversation, which may last", async () => {
    const { url } = await startServer({ limits: { unaryBodyTimeoutMs: 50 } });
    const agents = connect(url);
    const chat = agents.converse();
    chat.send("one");
    const texts: string[] = [];
    for await (const { event } of chat) {
      if (event.case === "text") texts.push(event.value);
      if (event.case !== "turnFinished") continue;
      if (texts.length === 1) {
        await once(AbortSignal.timeout(100), "abort"); // longer than a unary message may take
        chat.send("two");
      } else chat.end();
    }
    expect(texts).toEqual(["one ", "two "]);
    agents.close();
  });
});

describe("one port with TLS", () => {
  test("takes HTTP/2 and HTTP/1.1 by ALPN, and nothing older than TLS 1.3", async () => {
    const tls = await createCertificate();
    const server = await startServer({ tls });
    expect(server.url).toMatch(/^https:/);

    const agents = connect({ url: server.url, tls: { ca: tls.cert } });
    expect((await agents.process("hi")).content).toBe("hi ");
    agents.close();

    const request = httpsRequest(`${server.url}/agent.v1.AgentService/ProcessTask`, {
      ca: tls.cert,
      method: "POST",
      headers: { "content-type": "application/json" },
    });
    request.end(body);
    const [response] = await once(request, "response");
    expect(response.httpVersion).toBe("1.1");
    expect(JSON.parse(await readAll(response))).toMatchObject({ content: "hi " });

    const old = httpsRequest(server.url, { ca: tls.cert, maxVersion: "TLSv1.2" });
    await expect(once(old.end(), "response")).rejects.toThrow(/protocol version/i);
  });

  test("a peer that speaks no TLS, or stays silent, does no harm", async () => {
    const tls = await createCertificate();
    const server = await startServer({ tls, limits: { headersTimeoutMs: 150 } });
    for (const opening of ["GET / HTTP/1.1\r\n\r\n", ""]) {
      const socket = await tcp(server);
      socket.resume();
      socket.on("error", () => {}); // a reset is as good as a close
      if (opening !== "") socket.write(opening);
      await once(socket, "close");
    }
    const agents = connect({ url: server.url, tls: { ca: tls.cert } });
    expect((await agents.process("hi")).content).toBe("hi ");
    agents.close();
  });
});

describe("a drain", () => {
  test("turns health NOT_SERVING, sends GOAWAY, refuses new tasks, lets calls in flight finish, then frees the port", async () => {
    const gate = createGate();
    const server = await startServer({ agents: [gate.agent, echo] });
    const transport = createGrpcTransport({ baseUrl: server.url });
    const client = createClient(AgentService, transport);
    const statuses: ServingStatus[] = [];
    const watching = (async () => {
      for await (const { status } of createClient(Health, transport).watch({})) statuses.push(status);
    })();
    const session = connectHttp2(server.url);
    await once(session, "remoteSettings");
    const goaway = once(session, "goaway");
    const answer = client.processTask({ content: "x" });
    await gate.running;

    const closed = server.close();
    await expect(watching).rejects.toThrow(/shutting down/);
    expect(statuses).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
    expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    await expect(tcp(server)).rejects.toThrow(/ECONNREFUSED/);

    gate.open();
    expect(await answer).toMatchObject({ content: "first second", status: Status.COMPLETED });
    await closed;
  });

  test("ends what does not finish within the grace time with UNAVAILABLE", async () => {
    const gate = createGate();
    const server = await startServer({ agents: [gate.agent] });
    const agents = connect(server.url);
    const answer = agents.process("x");
    const outcome = expect(answer).rejects.toThrow(/\[unavailable\] the server is shutting down/);
    await gate.running;
    await server.close({ graceMs: 50 });
    await outcome;
    expect(await gate.stopped).toMatchObject({ message: expect.stringMatching(/shutting down/) });
    agents.close();
  });

  test("ends a conversation whose turn waits for a tool result", async () => {
    const server = await startServer();
    const agents = connect(server.url);
    const chat = agents.agent("asking").converse();
    chat.send({ content: "Berlin", availableTools: [{ name: "clock" }] });
    let closed: Promise<void> | undefined;
    const reading = (async () => {
      for await (const { event } of chat) if (event.case === "turnFinished") closed = server.close();
    })();
    await expect(reading).rejects.toThrow(/shutting down/);
    await closed;
    agents.close();
  });

  test("ends an idle conversation, after the running turn of a busy one", async () => {
    const gate = createGate();
    const server = await startServer({ agents: [gate.agent] });
    const agents = connect(server.url);
    const [idle, busy] = [agents.converse(), agents.converse()];
    idle.cancelTurn(); // opens the conversation without a turn
    busy.send("x");
    const texts: string[] = [];
    const busyEnd = (async () => {
      for await (const { event } of busy) if (event.case === "text") texts.push(event.value);
    })();
    const idleEnd = idle[Symbol.asyncIterator]().next();
    await gate.running;
    const closed = server.close();
    await expect(idleEnd).rejects.toThrow(/shutting down/);
    gate.open();
    await expect(busyEnd).rejects.toThrow(/shutting down/);
    expect(texts).toEqual(["first", " second"]);
    await closed;
    agents.close();
  });
});
