import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { Health } from "../gen/health/v1/health_pb.js";
import { AgentService, RegistryService } from "../src/contract/index.ts";
import { type CertificatePair, issueCertificate } from "../src/identity/index.ts";
import { type AccessOptions, createTokenVerifier, defineAgent, definePolicy, type Server } from "../src/index.ts";
import { type ClosableTransport, createTransport } from "../src/wire/index.ts";
import { exampleAuthority, signCertificate } from "./support/authority.ts";
import { startServer } from "./support/server.ts";

const domain = "spiffe://example.org/agent";
const trustDomains = ["example.org"];

let authority: CertificatePair;
const certificates = new Map<string, CertificatePair>();

beforeAll(async () => {
  authority = await exampleAuthority();
  for (const name of ["server", "ana", "ben"]) certificates.set(name, await issueCertificate(authority, { name }));
});

/** Says who asked. */
const whoami = defineAgent({
  name: "whoami",
  capabilities: ["tell"],
  async *run(_task, { caller }) {
    yield `${caller.name} by ${caller.proof}`;
  },
});
const research = defineAgent({
  name: "research",
  capabilities: ["research"],
  async *run(_task, { agents }) {
    yield* agents.capability("tell").stream("who?");
  },
});

function start(access: AccessOptions): Promise<Server> {
  const { certificate: cert, key } = certificates.get("server") ?? authority;
  return startServer({
    agents: [whoami, research],
    registry: true,
    access,
    tls: { cert, key, clientCa: authority.certificate, clientCertificates: "optional" },
  });
}

const transports = new Set<ClosableTransport>();
afterAll(() => {
  for (const transport of transports) transport.close();
});

/** A caller with a certificate, or without. */
function callerOf({ port }: Server, name?: string, headers?: Record<string, string>) {
  const pair = name === undefined ? undefined : certificates.get(name);
  const transport = createTransport({
    baseUrl: `https://localhost:${port}`,
    tls: { ca: authority.certificate, ...(pair && { cert: pair.certificate, key: pair.key }) },
    interceptors: [
      (next) => (request) => {
        for (const [field, value] of Object.entries(headers ?? {})) request.header.set(field, value);
        return next(request);
      },
    ],
  });
  transports.add(transport);
  const agents = createClient(AgentService, transport);
  return {
    agents,
    health: createClient(Health, transport),
    registry: createClient(RegistryService, transport),
    ask: async (agentId: string, taskId = "") => (await agents.processTask({ agentId, taskId, content: "?" })).content,
  };
}

async function refusalOf(call: Promise<unknown>) {
  const thrown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof ConnectError)) throw new Error(`it was not refused but gave ${String(thrown)}`);
  return [thrown.code, thrown.findDetails(ErrorInfoSchema)[0]?.reason];
}

describe("without a policy", () => {
  test("an agent is told who asks, by the certificate, and so is the agent that it asks", async () => {
    const server = await start({ trustDomains });
    expect(await callerOf(server, "ana").ask("whoami")).toBe(`${domain}/ana by mtls`);
    expect(await callerOf(server, "ben").ask("research")).toBe(`${domain}/ben by mtls`);
  });

  test("nobody is anonymous unless that is allowed, but everybody may ask for the health", async () => {
    const strict = callerOf(await start({ trustDomains }));
    expect(await refusalOf(strict.ask("whoami"))).toEqual([Code.Unauthenticated, "CREDENTIALS_MISSING"]);
    await strict.health.check({});
    const open = callerOf(await start({ trustDomains, allowAnonymous: true }));
    expect(await open.ask("whoami")).toBe("anonymous by none");
  });

  test("a certificate of a trust domain that is not trusted is refused", async () => {
    const server = await start({ trustDomains: ["other.org"], allowAnonymous: true });
    expect(await refusalOf(callerOf(server, "ana").ask("whoami"))).toEqual([Code.Unauthenticated, "TRUST_DOMAIN"]);
  });

  test.each<[what: string, names: string[], reason: string]>([
    ["two URIs", [`${domain}/ana`, `${domain}/ben`], "CERTIFICATE_IDENTITY"],
    ["a URI that is no SPIFFE id", ["https://example.org/ana"], "CERTIFICATE_IDENTITY"],
    ["no URI", [], "CERTIFICATE_IDENTITY"],
  ])("a certificate with %s is refused, also where callers may be anonymous", async (_what, names, reason) => {
    const odd = { names: names.map((value) => ({ type: "url" as const, value })) };
    certificates.set("odd", await signCertificate(authority, odd));
    const server = await start({ trustDomains, allowAnonymous: true });
    expect(await refusalOf(callerOf(server, "odd").ask("whoami"))).toEqual([Code.Unauthenticated, reason]);
  });

  test.each<[what: string, make: () => Promise<CertificatePair>]>([
    [
      "that has expired",
      () => signCertificate(authority, { names: [{ type: "url", value: `${domain}/ana` }], untilMs: -60_000 }),
    ],
    ["of a foreign authority", async () => issueCertificate(await exampleAuthority(), { name: "ana" })],
  ])("a certificate %s does not get as far as a call", async (_what, make) => {
    certificates.set("odd", await make());
    const server = await start({ trustDomains, allowAnonymous: true });
    expect(await refusalOf(callerOf(server, "odd").ask("whoami"))).toEqual([Code.Unavailable, undefined]);
  });

  test("a task is its caller's own: to another it is not there, and its id is free", async () => {
    const server = await start({ trustDomains });
    const [ana, ben] = [callerOf(server, "ana"), callerOf(server, "ben")];
    await ana.ask("whoami", "one");
    expect((await ana.agents.getTask({ taskId: "one" })).task?.response?.content).toBe(`${domain}/ana by mtls`);
    expect(await refusalOf(ben.agents.getTask({ taskId: "one" }))).toEqual([Code.NotFound, undefined]);
    expect(await refusalOf(ben.agents.cancelTask({ taskId: "one" }))).toEqual([Code.NotFound, undefined]);
    expect(await ben.ask("whoami", "one")).toBe(`${domain}/ben by mtls`);
  });

  test("a registrant registers its own identity and no other", async () => {
    const server = await start({ trustDomains });
    const { registry } = callerOf(server, "ana");
    const register = (identity: string) =>
      registry.register({
        registration: { agent: { name: "ana" }, endpoints: [{ url: "https://192.0.2.1:50051" }], identity },
      });
    expect(await refusalOf(register(`${domain}/ben`))).toEqual([Code.PermissionDenied, "IDENTITY_MISMATCH"]);
    await register(`${domain}/ana`);
  });
});

describe("a policy", () => {
  const denied = [Code.PermissionDenied, "POLICY_DENIED"];

  test("denies what no rule allows, whatever the service; health is asked for all the same", async () => {
    const policy = definePolicy([{ callers: [`${domain}/ana`], methods: ["agent.v1.AgentService/*"] }]);
    const server = await start({ trustDomains, policy });
    const [ana, ben] = [callerOf(server, "ana"), callerOf(server, "ben")];
    expect(await ana.ask("whoami")).toMatch(/ana/);
    expect(await refusalOf(ben.ask("whoami"))).toEqual(denied);
    expect(await refusalOf(ana.registry.discover({}))).toEqual(denied);
    await ben.health.check({});
  });

  test("for a capability lets its callers ask the agents that have it, and no others", async () => {
    const policy = definePolicy([
      { callers: [`${domain}/ana`], capabilities: ["tell"] },
      { callers: [`${domain}/*`], capabilities: ["research"] },
    ]);
    const server = await start({ trustDomains, policy });
    const [ana, ben] = [callerOf(server, "ana"), callerOf(server, "ben")];
    expect(await ana.ask("whoami")).toMatch(/ana/);
    expect(await refusalOf(ben.ask("whoami"))).toEqual(denied);
    expect(await ben.ask("research")).toMatch(/ben/);
    expect(await refusalOf(ben.registry.discover({}))).toEqual(denied);
    const stream = ben.agents.streamResponse({ agentId: "whoami", content: "?" });
    expect(await refusalOf(stream[Symbol.asyncIterator]().next())).toEqual(denied);
  });

  test("that changes holds for the next call of a connection that is there", async () => {
    let policy = definePolicy([{ callers: [`${domain}/ana`] }]);
    const server = await start({ trustDomains, policy: () => policy });
    const ana = callerOf(server, "ana");
    await ana.ask("whoami");
    policy = definePolicy([]);
    expect(await refusalOf(ana.ask("whoami"))).toEqual(denied);
  });

  test("refuses before the body is read", async () => {
    const server = await start({ trustDomains, policy: definePolicy([]) });
    const pair = certificates.get("ana");
    const socket = connectTls({
      port: server.port,
      host: "localhost",
      ca: authority.certificate,
      cert: pair?.certificate,
      key: pair?.key,
      ALPNProtocols: ["http/1.1"],
    });
    await once(socket, "secureConnect");
    const path = "/agent.v1.AgentService/ProcessTask";
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n`);
    const [answer] = await once(socket.setEncoding("utf8"), "data");
    expect(answer).toMatch(/^HTTP\/1\.1 403/);
    socket.destroy();
  });
});

describe("a bearer token", () => {
  const [issuer, audience] = ["https://issuer.example", "https://agents.example"];
  const folder = mkdtempSync(join(tmpdir(), "convoke-access-"));
  let privateKey: CryptoKey;
  let server: Server;

  beforeAll(async () => {
    const pair = await generateKeyPair("ES256", { extractable: true });
    privateKey = pair.privateKey;
    const file = join(folder, "keys.json");
    writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: "one", alg: "ES256" }] }));
    const tokens = await createTokenVerifier({ issuer, audience, keys: { file } });
    server = await start({ tokens, policy: definePolicy([{ callers: [`${issuer}#ana`] }]) });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const sign = (claims: JWTPayload, expires = "5 minutes") =>
    new SignJWT({ iss: issuer, aud: audience, sub: "ana", ...claims })
      .setExpirationTime(expires)
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .sign(privateKey);
  const withToken = (value: string) => callerOf(server, undefined, { authorization: `Bearer ${value}` });

  test("is the other way to be known", async () => {
    expect(await withToken(await sign({})).ask("whoami")).toBe(`${issuer}#ana by token`);
  });

  test.each<[what: string, reason: string, make: () => Promise<string> | string]>([
    ["of another issuer", "TOKEN_ISSUER", () => sign({ iss: "https://other.example" })],
    ["for another audience", "TOKEN_AUDIENCE", () => sign({ aud: "https://other.example" })],
    ["that has expired", "TOKEN_EXPIRED", () => sign({}, "-5 minutes")],
    [
      "of algorithm none",
      "TOKEN_ALGORITHM",
      () => new UnsecuredJWT({ iss: issuer, aud: audience, sub: "ana" }).setExpirationTime("5 minutes").encode(),
    ],
    ["whose signature is another", "TOKEN_INVALID", async () => `${(await sign({})).slice(0, -8)}AAAAAAAA`],
  ])("%s is refused", async (_what, reason, make) => {
    expect(await refusalOf(withToken(await make()).ask("whoami"))).toEqual([Code.Unauthenticated, reason]);
  });
});
