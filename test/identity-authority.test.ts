import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CertificatePair, createAuthority, type IssueOptions, issueCertificate } from "../src/identity/index.ts";
import { exampleAuthority, signCertificate } from "./support/authority.ts";
import { findTool, runTool } from "./support/tools.ts";

let authority: CertificatePair;
const folder = mkdtempSync(join(tmpdir(), "convoke-authority-"));
beforeAll(async () => {
  authority = await exampleAuthority();
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("a certificate of an agent", () => {
  test("names it, is for this machine, and lasts a day", async () => {
    const { certificate, key } = await issueCertificate(authority, { name: "scheduler" });
    const parsed = new X509Certificate(certificate);
    expect(parsed.subjectAltName).toBe(
      "URI:spiffe://example.org/agent/scheduler, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
    );
    expect(parsed.ca).toBe(false);
    expect(parsed.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]); // serverAuth, clientAuth
    expect(parsed.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect(parsed.checkIssued(new X509Certificate(authority.certificate))).toBe(true);
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----\n/); // PKCS#8
    const hours = (parsed.validToDate.getTime() - Date.now()) / 3_600_000;
    expect(Math.round(hours)).toBe(24);
  });

  test("has the addresses that are asked for, and no others", async () => {
    const { certificate } = await issueCertificate(authority, {
      name: "a",
      dns: ["a.example", "*.b.example"],
      ips: ["10.0.0.1"],
    });
    expect(new X509Certificate(certificate).subjectAltName).toBe(
      "URI:spiffe://example.org/agent/a, DNS:a.example, DNS:*.b.example, IP Address:10.0.0.1",
    );
  });

  test.each<[what: string, options: IssueOptions, why: RegExp]>([
    ["an empty name", { name: "" }, /is no name for a certificate/],
    ["a name with a slash", { name: "a/b" }, /"a\/b" is no name for a certificate/],
    ["a dot segment", { name: ".." }, /dot segment/],
    ["a name that is too long", { name: "a".repeat(65) }, /65 characters long; at most 64/],
    ["no host name", { name: "a", dns: ["a b"] }, /"a b" is no host name/],
    ["an address as a host name", { name: "a", dns: ["127.0.0.1"] }, /127\.0\.0\.1 is an IP address/],
    ["no address", { name: "a", ips: ["localhost"] }, /"localhost" is no IP address/],
    ["no time", { name: "a", validMs: 0 }, /cannot be valid for 0 ms/],
    [
      "more time than the authority has",
      { name: "a", validMs: 366 * 86_400_000 },
      /the authority is valid until 20.* make a new one/,
    ],
  ])("is refused for %s", async (_what, options, why) => {
    await expect(issueCertificate(authority, options)).rejects.toThrow(why);
  });

  test("is signed by an authority alone, with its own key", async () => {
    const [leaf, other] = await Promise.all([issueCertificate(authority, { name: "a" }), exampleAuthority()]);
    await expect(issueCertificate(leaf, { name: "b" })).rejects.toThrow("the certificate is no authority's");
    const mixed = { certificate: authority.certificate, key: other.key };
    await expect(issueCertificate(mixed, { name: "b" })).rejects.toThrow("the authority's key belongs to another certificate");
  });
});

test.each(["", "Example.org", "example.org/a", "a b"])("%j is no trust domain of an authority", async (trustDomain) => {
  await expect(createAuthority({ trustDomain })).rejects.toThrow(TypeError);
});

const openssl = findTool("openssl", "OPENSSL").path;
const [suite, reason] = openssl === undefined ? [describe.skip, " (skipped: openssl is not on PATH)"] : [describe, ""];

suite(`for openssl${reason}`, () => {
  async function verify({ certificate }: CertificatePair, purpose: string) {
    const [ca, leaf] = [join(folder, "ca.crt"), join(folder, "leaf.crt")];
    writeFileSync(ca, authority.certificate);
    writeFileSync(leaf, certificate);
    const { exitCode, stderr } = await runTool(openssl ?? "", [
      "verify",
      "-x509_strict",
      "-purpose",
      purpose,
      "-CAfile",
      ca,
      leaf,
    ]);
    return { exitCode, stderr };
  }

  test.each(["sslserver", "sslclient"])("a certificate is in order as %s", async (purpose) => {
    const pair = await issueCertificate(authority, { name: "scheduler" });
    expect(await verify(pair, purpose)).toEqual({ exitCode: 0, stderr: "" });
  });

  test("an id of another trust domain is none that the authority may sign", async () => {
    const pair = await signCertificate(authority, { names: [{ type: "url", value: "spiffe://other.org/agent/a" }] });
    const { exitCode, stderr } = await verify(pair, "sslserver");
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("permitted subtree violation");
  });
});
