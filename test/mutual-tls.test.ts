import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { type CertificatePair, issueCertificate, verifySpiffeId } from "../src/identity/index.ts";
import {
  type ClientTls,
  type ClosableTransport,
  createListener,
  createRpcHandler,
  createTransport,
  type Listener,
  type TlsOptions,
} from "../src/wire/index.ts";
import { exampleAuthority, signCertificate } from "./support/authority.ts";
import { listen } from "./support/process.ts";
import { Wire } from "./support/wire-service.ts";

const versions = ["2", "1.1"] as const;
type Version = (typeof versions)[number];

let authority: CertificatePair;
let foreign: CertificatePair;
let server: CertificatePair;
let caller: CertificatePair;

beforeAll(async () => {
  [authority, foreign] = await Promise.all([exampleAuthority(), exampleAuthority()]);
  server = await issueCertificate(authority, { name: "server" });
  caller = await issueCertificate(authority, { name: "caller" });
});

const listeners = new Set<Listener>();
const transports = new Set<ClosableTransport>();
afterAll(async () => {
  for (const transport of transports) transport.close();
  await Promise.all([...listeners].map((listener) => listener.close()));
});

function pairOf({ certificate, key }: CertificatePair) {
  return { cert: certificate, key };
}

function derOf({ certificate }: CertificatePair): Uint8Array {
  return new Uint8Array(new X509Certificate(certificate).raw);
}

const uri = (value: string) => ({ type: "url", value }) as const;
const callerId = "spiffe://example.org/agent/caller";
const serverId = "spiffe://example.org/agent/server";

/** A server of {@link Wire} and the certificates that its requests brought. */
async function start(options: Partial<TlsOptions> = {}, atPort = 0) {
  const seen: (Uint8Array | undefined)[] = [];
  const open: (() => void)[] = [];
  const { handle } = createRpcHandler({
    routes: (router) =>
      router.service(Wire, {
        say: () => ({ value: "here" }),
        async *list() {
          yield { value: "first" };
          await new Promise<void>((resolve) => open.push(resolve));
          yield { value: "second" };
        },
      }),
  });
  const listener = createListener({
    tls: { ...pairOf(server), clientCa: authority.certificate, ...options },
    onRequest(exchange) {
      seen.push(exchange.peerCertificate);
      handle(exchange);
    },
  });
  listeners.add(listener);
  const { port } = await listener.listen("127.0.0.1", atPort);
  return { url: `https://localhost:${port}`, port, listener, seen, release: () => open.shift()?.() };
}

function clientOf(url: string, httpVersion: Version, tls: ClientTls) {
  const transport = createTransport({ baseUrl: url, httpVersion, protocol: "connect", tls });
  transports.add(transport);
  return createClient(Wire, transport);
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const thrown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (thrown instanceof ConnectError) return thrown;
  throw new Error("the call did not fail with a ConnectError");
}

describe.each(versions)("over HTTP/%s", (version) => {
  const trust = () => ({ ca: authority.certificate });

  test("each request carries the certificate of its connection", async () => {
    const { url, seen } = await start();
    const client = clientOf(url, version, { ...trust(), ...pairOf(caller) });
    await client.say({});
    await client.say({});
    expect(seen[0]).toEqual(derOf(caller));
    expect(seen[1]).toBe(seen[0]); // one connection, one array
  });

  test("no request carries one where none is asked for", async () => {
    const { cert, key } = pairOf(server);
    const listener = createListener({
      tls: { cert, key },
      onRequest: (exchange) => exchange.respondWhole(exchange.peerCertificate === undefined ? 204 : 500, []),
    });
    listeners.add(listener);
    const { port } = await listener.listen("127.0.0.1", 0);
    const { message } = await failureOf(
      clientOf(`https://localhost:${port}`, version, { ...trust(), ...pairOf(caller) }).say({}),
    );
    expect(message).toContain("204");
  });

  describe.each(["require", "optional"] as const)("where certificates are asked for: %s", (clientCertificates) => {
    const day = 86_400_000;
    test.each<[what: string, make: () => Promise<CertificatePair>]>([
      ["signed by others", () => issueCertificate(foreign, { name: "caller" })],
      ["that has expired", () => signCertificate(authority, { names: [uri(callerId)], fromMs: -2 * day, untilMs: -day })],
      ["that is not valid yet", () => signCertificate(authority, { names: [uri(callerId)], fromMs: day, untilMs: 2 * day })],
      ["of another trust domain", () => signCertificate(authority, { names: [uri("spiffe://other.org/a")] })],
    ])("a certificate %s is refused", async (_what, make) => {
      const { url, seen } = await start({ clientCertificates });
      const error = await failureOf(clientOf(url, version, { ...trust(), ...pairOf(await make()) }).say({}));
      expect(error.code).toBe(Code.Unavailable);
      expect(seen).toEqual([]);
    });
  });

  test("a caller without a certificate is refused by default", async () => {
    const { url, seen } = await start();
    expect((await failureOf(clientOf(url, version, trust()).say({}))).code).toBe(Code.Unavailable);
    expect(seen).toEqual([]);
  });

  test("a caller without a certificate is served where certificates are optional", async () => {
    const { url, seen } = await start({ clientCertificates: "optional" });
    expect((await clientOf(url, version, trust()).say({})).value).toBe("here");
    expect(seen).toEqual([undefined]);
  });

  test("a server with the right SPIFFE id is called, whatever its host name", async () => {
    const elsewhere = await issueCertificate(authority, { name: "server", dns: ["elsewhere.example"] });
    const { url } = await start({ ...pairOf(elsewhere), clientCertificates: "optional" });
    const byName = await failureOf(clientOf(url, version, trust()).say({}));
    expect(byName.message).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
    const byId = clientOf(url, version, { ...trust(), verifyPeer: verifySpiffeId(serverId) });
    expect((await byId.say({})).value).toBe("here");
  });

  test.each<[what: string, make: () => Promise<CertificatePair>, why: string]>([
    [
      "another SPIFFE id",
      () => issueCertificate(authority, { name: "other" }),
      `the server was refused: it is spiffe://example.org/agent/other, and has to be ${serverId}`,
    ],
    [
      "two URIs",
      () => signCertificate(authority, { names: [uri(serverId), uri("spiffe://example.org/b")] }),
      "the server was refused: the certificate names 2 URIs; with a SPIFFE id it has exactly one",
    ],
  ])("a server with %s is refused before a byte is sent", async (_what, make, why) => {
    const { url, received } = await startSilent(await make(), version);
    const error = await failureOf(clientOf(url, version, { ...trust(), verifyPeer: verifySpiffeId(serverId) }).say({}));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.rawMessage).toBe(why);
    expect(await received).toBe(0);
  });

  test("a server that is signed by others is refused without asking who it is", async () => {
    const { url, received } = await startSilent(await issueCertificate(foreign, { name: "server" }), version);
    let asked = false;
    const verifyPeer = () => {
      asked = true;
    };
    const error = await failureOf(clientOf(url, version, { ...trust(), verifyPeer }).say({}));
    expect(error.code).toBe(Code.Unavailable);
    expect(asked).toBe(false);
    expect(await received).toBe(0);
  });

  test("a certificate that is changed while a stream runs leaves the stream alone, and new connections get it", async () => {
    const { url, listener, release } = await start();
    const shown: string[] = [];
    const verifyPeer = ({ serialNumber }: X509Certificate) => void shown.push(serialNumber);
    const tls = { ...trust(), ...pairOf(caller), verifyPeer };
    const stream = clientOf(url, version, tls).list({})[Symbol.asyncIterator]();
    expect((await stream.next()).value?.value).toBe("first");
    const renewed = await issueCertificate(authority, { name: "server" });
    listener.setTls({ ...pairOf(renewed), clientCa: authority.certificate });
    expect((await clientOf(url, version, tls).say({})).value).toBe("here");
    release();
    expect((await stream.next()).value?.value).toBe("second");
    expect((await stream.next()).done).toBe(true);
    expect(shown).toEqual([server, renewed].map(({ certificate }) => new X509Certificate(certificate).serialNumber));
  });

  test("authorities that are changed hold for new connections", async () => {
    const { url, listener } = await start();
    const tls = { ...trust(), ...pairOf(caller) };
    await clientOf(url, version, tls).say({});
    listener.setTls({ ...pairOf(server), clientCa: foreign.certificate });
    expect((await failureOf(clientOf(url, version, tls).say({}))).code).toBe(Code.Unavailable);
    const known = await issueCertificate(foreign, { name: "caller" });
    expect((await clientOf(url, version, { ...trust(), ...pairOf(known) }).say({})).value).toBe("here");
  });

  test("a client's certificate that is changed is shown by its new connections", async () => {
    const before = await start();
    let current = caller;
    const client = clientOf(before.url, version, () => ({ ...trust(), ...pairOf(current) }));
    await client.say({});
    current = await issueCertificate(authority, { name: "renewed" });
    await before.listener.drain(); // the kept connection ends
    const after = await start({}, before.port);
    await client.say({});
    expect([...before.seen, ...after.seen]).toEqual([caller, current].map(derOf));
  });

  test("a client whose certificate cannot be had fails its calls, and tries again with the next", async () => {
    const { url } = await start();
    let gone = true;
    const client = clientOf(url, version, () => {
      if (gone) throw new Error("the file is gone");
      return { ...trust(), ...pairOf(caller) };
    });
    const error = await failureOf(client.say({}));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.cause).toEqual(new Error("the file is gone"));
    gone = false;
    expect((await client.say({})).value).toBe("here");
  });
});

test("a caller is told to connect anew before its certificate ends, and shows the one that it has then", async () => {
  const { url, seen, release } = await start();
  let current = await signCertificate(authority, { names: [uri(callerId)], untilMs: 3_000 });
  const client = clientOf(url, "2", () => ({ ca: authority.certificate, ...pairOf(current) }));
  const stream = client.list({})[Symbol.asyncIterator]();
  await stream.next();
  const ending = new X509Certificate(current.certificate);
  current = caller;
  const renewed = Buffer.from(derOf(caller));
  while (!renewed.equals(seen.at(-1) ?? renewed)) await client.say({}); // no call fails
  expect(Date.now()).toBeLessThan(Date.parse(ending.validTo));
  release();
  expect((await stream.next()).value?.value).toBe("second"); // on the old connection
});

/** A server that only counts the bytes that come after the handshake, until the connection ends. */
async function startSilent(pair: CertificatePair, version: Version): Promise<{ url: string; received: Promise<number> }> {
  let tell: (bytes: number) => void = () => {};
  const received = new Promise<number>((resolve) => {
    tell = resolve;
  });
  const silent = createTlsServer({ ...pairOf(pair), ALPNProtocols: [version === "2" ? "h2" : "http/1.1"] });
  silent.on("connection", (socket) => socket.on("error", () => {}));
  let bytes = 0;
  silent.on("tlsClientError", () => tell(bytes));
  silent.on("secureConnection", (socket) => {
    socket.on("data", (chunk) => {
      bytes += chunk.length;
    });
    socket.on("error", () => {}); // the client leaves without a word
    socket.on("close", () => tell(bytes));
  });
  const address = await listen(silent);
  return { url: `https://${address.replace("127.0.0.1", "localhost")}`, received };
}

describe("a TLS session", () => {
  /** Connects, answers with the tickets that came, and what a second connection with the last of them is. */
  async function resume(port: number, versionName: "TLSv1.2" | "TLSv1.3") {
    const options = {
      ...{ port, host: "localhost", ca: authority.certificate, ...pairOf(caller), ALPNProtocols: ["http/1.1"] },
      ...{ minVersion: versionName, maxVersion: versionName },
    };
    const sessions: Buffer[] = [];
    const first = connectTls(options);
    first.on("session", (session) => sessions.push(session));
    await ask(first);
    const session = sessions.at(-1);
    const second = connectTls({ ...options, ...(session && { session }) });
    const reused = once(second, "secureConnect").then(() => second.isSessionReused());
    await ask(second);
    return { offered: session !== undefined, reused: await reused };
  }

  /** A request, so that what the server sends after the handshake has come too. */
  async function ask(socket: TLSSocket): Promise<void> {
    socket.write("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    socket.resume();
    await once(socket, "close");
  }

  test.each(["TLSv1.2", "TLSv1.3"] as const)("is resumed over %s by a server that asks for no certificate", async (name) => {
    const { cert, key } = pairOf(server);
    const listener = createListener({
      tls: { cert, key, minVersion: "TLSv1.2" },
      onRequest: (exchange) => exchange.respondWhole(204, []),
    });
    listeners.add(listener);
    const { port }: AddressInfo = await listener.listen("127.0.0.1", 0);
    expect(await resume(port, name)).toEqual({ offered: true, reused: true });
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("is never resumed over %s by a server that asks for one", async (name) => {
    for (const clientCertificates of ["require", "optional"] as const) {
      const { port, seen, listener } = await start({ clientCertificates, minVersion: "TLSv1.2" });
      expect((await resume(port, name)).reused).toBe(false);
      listener.setTls({ ...pairOf(server), clientCa: authority.certificate, clientCertificates, minVersion: "TLSv1.2" });
      expect((await resume(port, name)).reused).toBe(false);
      expect(seen).toEqual([caller, caller, caller, caller].map(derOf)); // each connection was verified anew
    }
  });
});

describe("a listener's certificate is not changed", () => {
  test("to one that is none: the old one stays", async () => {
    const { url, listener } = await start();
    const other = await issueCertificate(authority, { name: "other" });
    const clientCa = authority.certificate;
    expect(() => listener.setTls({ cert: "none", key: server.key, clientCa })).toThrow();
    expect(() => listener.setTls({ cert: server.certificate, key: other.key, clientCa })).toThrow(/key values mismatch/);
    const client = clientOf(url, "2", { ca: authority.certificate, ...pairOf(caller) });
    expect((await client.say({})).value).toBe("here");
  });

  test("together with what it asks of callers", async () => {
    const { listener } = await start();
    expect(() => listener.setTls(pairOf(server))).toThrow("clientCertificates cannot change from require to none");
  });

  test("where it speaks clear text", () => {
    const listener = createListener({ onRequest: () => {} });
    expect(() => listener.setTls(pairOf(server))).toThrow(/speaks no TLS/);
  });
});
