import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { issueCertificate, openCertificateFolder } from "../src/identity/index.ts";
import { exampleAuthority } from "./support/authority.ts";
import { convoke, listen, type Process, paste, runConvoke } from "./support/process.ts";

const shout = "test/fixtures/cli/shout.ts";
const folder = mkdtempSync(join(tmpdir(), "convoke access ")); // a blank, for the lines that are pasted
const file = (name: string) => join(folder, name);
const id = (name: string) => `spiffe://example.org/agent/${name}`;
const own = (name: string) => ["--tls-cert", file(`${name}.crt`), "--tls-key", file(`${name}.key`)];
const trust = ["--tls-ca", file("ca.crt")];
const serving = ["--port", "0", "--log-level", "silent"];

beforeAll(async () => {
  const authority = await exampleAuthority();
  const certificates = openCertificateFolder(folder);
  await certificates.writeAuthority(authority);
  for (const name of ["shout", "registry", "ana", "ben"]) {
    await certificates.writeCertificate(name, await issueCertificate(authority, { name }));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

function writePolicy(...callers: string[]): void {
  writeFileSync(file("policy.json"), JSON.stringify({ rules: [{ callers, capabilities: ["shout"] }] }));
}

/** Where a server listens, once it does. */
async function urlOf(server: Process): Promise<string> {
  const [, url = ""] = await server.seen(/ on (https?:\/\/\S+)\n/);
  return url;
}

async function stop({ child, exit }: Process): Promise<void> {
  child.kill("SIGTERM");
  await exit;
}

describe("a server that asks for certificates", () => {
  let server: Process;
  let url: string;

  beforeAll(async () => {
    writePolicy(id("ana"), id("shout"));
    const asks = ["--client-ca", file("ca.crt"), "--policy", file("policy.json")];
    server = convoke(["serve", shout, ...serving, ...own("shout"), ...asks]);
    url = await urlOf(server);
  });
  afterAll(() => stop(server));

  const call = (...args: string[]) => runConvoke(["call", url, ...trust, ...args, "hello"]);

  test("answers whom its policy allows", async () => {
    expect(await call(...own("ana"))).toMatchObject({ code: 0, stdout: "HELLO\n" });
    expect(await call(...own("ana"), "--identity", id("shout"))).toMatchObject({ code: 0, stdout: "HELLO\n" });
  });

  test.each<[who: string, args: string[], code: number, sentence: RegExp]>([
    ["whom the policy does not allow", own("ben"), 6, /permission_denied/],
    ["who shows none", [], 3, /^convoke: the server asks for a certificate; --tls-cert and --tls-key show one\n$/],
    ["who asks for another one", [...own("ana"), "--identity", id("other")], 3, /it is \S+shout, and has to be \S+other/],
  ])("does not answer %s", async (_who, args, code, sentence) => {
    const refused = await call(...args);
    expect(refused).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(sentence) });
  });

  test("prints lines that work as pasted", async () => {
    const other = convoke(["serve", shout, ...serving, ...own("shout"), "--client-ca", file("ca.crt")]);
    const [line] = await other.seen(/npx convoke call .+(?=\n)/);
    expect(await paste(line).exit).toMatchObject({ code: 0, stdout: "IT'S A QUIET DAY\n" });
    await stop(other);
  });

  test("follows its policy", async () => {
    writePolicy(id("ben"));
    for (;;) {
      const { code, stdout } = await call(...own("ben"));
      if (code === 0) {
        expect(stdout).toBe("HELLO\n");
        break;
      }
      expect(code).toBe(6); // the change is not read yet
    }
  });
});

test("a server proves to a registry who it is, and is found and called by that", async () => {
  const asks = ["--client-ca", file("ca.crt")];
  const registry = convoke(["registry", ...serving, ...own("registry"), ...asks]);
  const at = await urlOf(registry);
  const agents = ["agents", "watch", "--registry", at, ...trust, ...own("ana")];
  const watching = convoke(agents);
  const register = ["--register", at, "--registry-ca", file("ca.crt")];
  const server = convoke(["serve", shout, ...serving, ...own("shout"), ...asks, ...register]);
  await watching.seen(/^\+ shout https:/);
  const described = await runConvoke(["agents", "describe", "shout", "--registry", at, ...trust, ...own("ana")]);
  expect(described).toMatchObject({ code: 0, stdout: expect.stringContaining(id("shout")) });
  const answer = await runConvoke(["call", `shout@${at}`, ...trust, ...own("ana"), "hello"]);
  expect(answer).toMatchObject({ code: 0, stdout: "HELLO\n" });
  await Promise.all([server, watching, registry].map(stop));
});

test("a bearer token, from a file or the environment, is the other way in", async () => {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  writeFileSync(file("keys.json"), JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "ES256" }] }));
  const [issuer, audience] = ["https://issuer.example", "https://agents.example"];
  const token = await new SignJWT({ iss: issuer, aud: audience, sub: "ana" })
    .setExpirationTime("5 minutes")
    .setProtectedHeader({ alg: "ES256", kid: "k" })
    .sign(privateKey);
  writeFileSync(file("token"), `${token}\n`);
  const tokens = ["--token-issuer", issuer, "--token-audience", audience, "--token-jwks", file("keys.json")];
  const server = convoke(["serve", shout, ...serving, ...tokens]);
  const url = await urlOf(server);
  expect(await runConvoke(["call", url, "--token", file("token"), "hello"])).toMatchObject({ code: 0, stdout: "HELLO\n" });
  const env = { CONVOKE_TOKEN: token };
  expect(await runConvoke(["call", url, "hello"], { env })).toMatchObject({ code: 0, stdout: "HELLO\n" });
  expect((await runConvoke(["call", url, "hello"])).code).toBe(6);
  await stop(server);
});

test("probes have a port of their own, without TLS", async () => {
  const [port, taken] = [await freePort(), await freePort()];
  const server = convoke(["serve", shout, ...serving, ...own("shout"), "--client-ca", file("ca.crt"), "--probe-port", port]);
  await urlOf(server);
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  const second = await runConvoke(["serve", shout, "--port", taken, "--log-level", "silent", "--probe-port", port]);
  expect(second).toMatchObject({ code: 2, stderr: `convoke: port ${port} is taken; choose another with --probe-port\n` });
  await stop(server);
});

/** A port that nobody has at the moment. */
async function freePort(): Promise<string> {
  const server = createServer();
  const { port } = new URL(`http://${await listen(server)}`);
  server.close();
  return port;
}

test.each<[sentence: RegExp, args: string[]]>([
  [/TLS needs both --tls-cert and --tls-key/, ["serve", shout, "--tls-cert", "a"]],
  [/--client-ca needs TLS/, ["serve", shout, "--client-ca", "a"]],
  [/--client-certificates needs --client-ca/, ["serve", shout, "--client-certificates", "require"]],
  [/add --client-ca/, ["serve", shout, "--trust-domain", "example.org"]],
  [/write the name alone/, ["serve", shout, "--trust-domain", "example.org/a"]],
  [/tokens need all of/, ["serve", shout, "--token-issuer", "https://a.example"]],
  [/with --policy callers have to be known/, ["serve", shout, "--policy", "policy.json"]],
  [/nowhere\.crt cannot be read/, ["registry", ...own("registry"), "--client-ca", file("nowhere.crt")]],
  [/ana\.key/, ["serve", shout, "--tls-cert", file("shout.crt"), "--tls-key", file("ana.key")]],
  [/--tls-ca is for https, and localhost:1 is called in clear text/, ["call", "localhost:1", ...trust, "x"]],
  [/needs both --tls-cert and --tls-key/, ["call", "https://localhost:1", "--tls-cert", "a", "x"]],
  [/--identity: /, ["call", "https://localhost:1", "--identity", "ana", "x"]],
  [/holds no bearer token/, ["call", "https://localhost:1", "--token", file("ca.crt"), "x"]],
])("wrong usage is one sentence: %s", async (sentence, args) => {
  const { code, stdout, stderr } = await runConvoke(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
});

test("a token does not go to another machine in clear text", async () => {
  const { code, stderr } = await runConvoke(["call", "agents.example:1", "x"], { env: { CONVOKE_TOKEN: "secret" } });
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("the token would go in clear text") });
});
