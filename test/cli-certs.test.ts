import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../src/index.ts";
import { convoke, root, runConvoke } from "./support/process.ts";
import { findTool, runTool } from "./support/tools.ts";

const base = mkdtempSync(join(tmpdir(), "convoke-certs-"));
afterAll(() => rmSync(base, { recursive: true }));
let folders = 0;

function newFolder(): string {
  return join(base, `folder ${folders++}`); // a space, to be quoted
}

async function run(...args: string[]) {
  const { code, stdout, stderr } = await runConvoke(["certs", ...args], { cwd: base });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** A folder with an authority. */
async function init(...args: string[]): Promise<string> {
  const dir = newFolder();
  await run("init", "--dir", dir, ...args);
  return dir;
}

function certificateIn(dir: string, name: string): X509Certificate {
  return new X509Certificate(readFileSync(join(dir, `${name}.crt`)));
}

function daysLeft({ validTo }: X509Certificate): number {
  return Math.round((new Date(validTo).getTime() - Date.now()) / 86_400_000);
}

test("init and issue write certificates and keys that only their owner reads, and nothing else", async () => {
  const dir = newFolder();
  expect(await run("init", "--dir", dir)).toContain(`convoke certs issue scheduler --dir '${dir}'`);
  const said = await run("issue", "scheduler", "--dir", dir);
  expect(said).toContain("spiffe://example.org/agent/scheduler, valid until ");
  expect(said).toContain(`--tls-ca '${join(dir, "ca.crt")}'`);
  expect(readdirSync(dir).sort()).toEqual(["ca.crt", "ca.key", "scheduler.crt", "scheduler.key"]);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  for (const file of readdirSync(dir)) expect([file, statSync(join(dir, file)).mode & 0o777]).toEqual([file, 0o600]);
  expect([daysLeft(certificateIn(dir, "ca")), daysLeft(certificateIn(dir, "scheduler"))]).toEqual([365, 1]);
});

test("the options choose the trust domain, the addresses and the time", async () => {
  const dir = await init("--trust-domain", "agents.example", "--days", "30");
  expect(daysLeft(certificateIn(dir, "ca"))).toBe(30);
  await run("issue", "a", "--dir", dir, "--dns", "a.example", "--dns", "b.example", "--ip", "10.0.0.1", "--days", "7");
  const certificate = certificateIn(dir, "a");
  expect(certificate.subjectAltName).toBe(
    "URI:spiffe://agents.example/agent/a, DNS:a.example, DNS:b.example, IP Address:10.0.0.1",
  );
  expect(daysLeft(certificate)).toBe(7);
});

test("the address to call is one that the certificate is for", async () => {
  const dir = await init();
  expect(await run("issue", "a", "--dir", dir, "--dns", "*.a.example", "--ip", "::1")).toContain(
    "convoke call https://[::1]:50051 ",
  );
});

test("a certificate is renewed by issuing it again", async () => {
  const dir = await init();
  await run("issue", "a", "--dir", dir);
  const before = certificateIn(dir, "a").serialNumber;
  await run("issue", "a", "--dir", dir);
  expect(certificateIn(dir, "a").serialNumber).not.toBe(before);
});

test("an authority is replaced by force alone", async () => {
  const dir = await init();
  const before = certificateIn(dir, "ca").serialNumber;
  const { code, stdout, stderr } = await runConvoke(["certs", "init", "--dir", dir]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^convoke: .* has an authority already; --force replaces it, [^\n]+\n$/);
  expect(certificateIn(dir, "ca").serialNumber).toBe(before);
  await run("init", "--dir", dir, "--force");
  expect(certificateIn(dir, "ca").serialNumber).not.toBe(before);
});

describe("wrong usage is one sentence and exit code 2:", () => {
  let dir: string;
  let broken: string;
  beforeAll(async () => {
    [dir, broken] = await Promise.all([init(), init()]);
    writeFileSync(join(broken, "ca.key"), "half");
  });

  test.each<[args: string[], sentence: RegExp]>([
    [["sing"], /unknown command 'sing'/],
    [["issue"], /missing required argument 'name'/],
    [["issue", "ca"], /"ca" is the authority's own name; choose another/],
    [["issue", "a/b"], /"a\/b" is no name for a certificate/],
    [["issue", ".."], /dot segment/],
    [["issue", "a", "--hours", "1", "--days", "1"], /cannot be used with option/],
    [["issue", "a", "--hours", "0"], /write a whole number from 1/],
    [["issue", "a", "--days", "400"], /the authority is valid until .* make a new one/],
    [["issue", "a", "--dns", "a b"], /"a b" is no host name/],
    [["issue", "a", "--ip", "localhost"], /"localhost" is no IP address/],
  ])("convoke certs %j", async (args, sentence) => {
    const given = args.length > 1 ? [...args, "--dir", dir] : args;
    await expectUsage(given, sentence);
  });

  test("no authority in the folder", () =>
    expectUsage(["issue", "a", "--dir", newFolder()], /has no authority; convoke certs init/));
  test("a broken authority", () => expectUsage(["issue", "a", "--dir", broken], /certificate and key are not both PEM/));
  test("no trust domain", () => expectUsage(["init", "--dir", newFolder(), "--trust-domain", "A/b"], /no SPIFFE id: /));

  async function expectUsage(args: string[], sentence: RegExp): Promise<void> {
    const { code, stdout, stderr } = await runConvoke(["certs", ...args]);
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  }
});

test("a folder that cannot be made is one sentence", async () => {
  writeFileSync(join(base, "file"), "");
  const { code, stderr } = await runConvoke(["certs", "init", "--dir", join(base, "file", "certs")]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^convoke: ENOTDIR[^\n]+\n$/);
});

test("an agent serves with them, and Node's clients trust it", async () => {
  const dir = await init();
  await run("issue", "shout", "--dir", dir);
  const [cert, key] = [join(dir, "shout.crt"), join(dir, "shout.key")];
  const agent = join(root, "test/fixtures/cli/shout.ts");
  const server = convoke(["serve", agent, "--port", "0", "--tls-cert", cert, "--tls-key", key], {
    env: { LOG_LEVEL: "silent" },
  });
  const [, url = ""] = await server.seen(/ on (https:\S+)/);
  const agents = connect({ url: url.replace("127.0.0.1", "localhost"), tls: { ca: readFileSync(join(dir, "ca.crt")) } });
  expect((await agents.process("hi")).content).toContain("HI");
  agents.close();
  server.child.kill("SIGTERM");
  await server.exit;
});

const openssl = findTool("openssl", "OPENSSL").path;
const [check, reason] = openssl === undefined ? [test.skip, " (skipped: openssl is not on PATH)"] : [test, ""];

check(`openssl finds them in order${reason}`, async () => {
  const dir = await init();
  await run("issue", "a", "--dir", dir);
  for (const purpose of ["sslserver", "sslclient"]) {
    const args = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", join(dir, "ca.crt"), join(dir, "a.crt")];
    expect(await runTool(openssl ?? "", args)).toMatchObject({ exitCode: 0, stderr: "" });
  }
});
