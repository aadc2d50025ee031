import { X509Certificate } from "node:crypto";
import type { JsonGeneralNames } from "@peculiar/x509";
import { type CertificatePair, issueCertificate, parseSpiffeId, spiffeIdOf } from "../src/identity/index.ts";
import { exampleAuthority, signCertificate } from "./support/authority.ts";

describe("a SPIFFE id", () => {
  test.each<[text: string, trustDomain: string, path: string]>([
    ["spiffe://example.org", "example.org", ""],
    ["spiffe://example.org/agent/scheduler", "example.org", "/agent/scheduler"],
    ["spiffe://a-b_c.1/A.b-C_9", "a-b_c.1", "/A.b-C_9"],
    ["spiffe://example.org/...", "example.org", "/..."],
    ["spiffe://example.org/.hidden", "example.org", "/.hidden"],
    [`spiffe://${"a".repeat(255)}/x`, "a".repeat(255), "/x"],
    [`spiffe://example.org/${"a".repeat(2048 - 21)}`, "example.org", `/${"a".repeat(2048 - 21)}`],
  ])("%.60s", (text, trustDomain, path) => {
    expect(parseSpiffeId(text)).toEqual({ id: text, trustDomain, path });
  });
});

describe("no SPIFFE id", () => {
  const domain = /a trust domain has lower-case letters/;
  const path = /a path has letters/;
  test.each<[text: string, why: RegExp]>([
    ["", /has to begin with spiffe:\/\//],
    ["https://example.org/a", /has to begin with/],
    ["SPIFFE://example.org/a", /has to begin with/],
    ["spiffe:/example.org/a", /has to begin with/],
    [" spiffe://example.org/a", /has to begin with/],
    ["spiffe://", /trust domain is missing/],
    ["spiffe:///a", /trust domain is missing/],
    ["spiffe://Example.org/a", domain],
    ["spiffe://example.org:8443/a", domain],
    ["spiffe://user@example.org/a", domain],
    ["spiffe://user:pass@example.org/a", domain],
    ["spiffe://example.org?a=b", domain],
    ["spiffe://example.org#a", domain],
    ["spiffe://ex%61mple.org/a", domain],
    ["spiffe://exämple.org/a", domain],
    ["spiffe://[::1]/a", domain],
    [`spiffe://${"a".repeat(256)}/x`, /trust domain is longer than 255 bytes/],
    ["spiffe://example.org/", /must not end with a slash/],
    ["spiffe://example.org/a/", /must not end with a slash/],
    ["spiffe://example.org//a", /empty segment/],
    ["spiffe://example.org/a//b", /empty segment/],
    ["spiffe://example.org/./a", /dot segment/],
    ["spiffe://example.org/a/..", /dot segment/],
    ["spiffe://example.org/a/../b", /dot segment/],
    ["spiffe://example.org/a?b", path],
    ["spiffe://example.org/a#b", path],
    ["spiffe://example.org/%61", path],
    ["spiffe://example.org/a b", path],
    ["spiffe://example.org/a\n", path],
    ["spiffe://example.org/a\0", path],
    ["spiffe://example.org/ä", path],
    ["spiffe://example.org/a:b", path],
    [`spiffe://example.org/${"a".repeat(2048 - 20)}`, /longer than 2048 bytes/],
  ])("%.60j", (text, why) => {
    expect(() => parseSpiffeId(text)).toThrow(TypeError);
    expect(() => parseSpiffeId(text)).toThrow(why);
  });
});

describe("the SPIFFE id of a certificate", () => {
  let authority: CertificatePair;
  beforeAll(async () => {
    authority = await exampleAuthority();
  });
  const uri = (value: string) => ({ type: "url", value }) as const;
  const dns = (value: string) => ({ type: "dns", value }) as const;
  const scheduler = "spiffe://example.org/agent/scheduler";

  async function certificateWith(names: JsonGeneralNames): Promise<X509Certificate> {
    return new X509Certificate((await signCertificate(authority, { names })).certificate);
  }

  test("is its one URI", async () => {
    const { certificate } = await issueCertificate(authority, { name: "scheduler" });
    expect(spiffeIdOf(new X509Certificate(certificate)).id).toBe(scheduler);
  });

  test.each<[what: string, names: JsonGeneralNames]>([
    ["names with commas and quotes", [dns('a", URI:"spiffe://example.org/evil'), uri(scheduler), dns("b, c\\")]],
    ["a name that looks like another URI", [dns(`a, URI:spiffe://example.org/evil`), uri(scheduler)]],
    ["a directory name", [{ type: "dn", value: "CN=URI:spiffe://example.org/evil, O=x" }, uri(scheduler)]],
    ["an e-mail address", [{ type: "email", value: "a@example.org" }, uri(scheduler)]],
    ["an id of another kind", [{ type: "id", value: "1.2.3.4" }, uri(scheduler)]],
  ])("is found beside %s", async (_what, names) => {
    expect(spiffeIdOf(await certificateWith(names)).id).toBe(scheduler);
  });

  test.each<[what: string, names: JsonGeneralNames, why: RegExp]>([
    ["no URI", [], /names no URI/],
    ["a host name that looks like a URI", [dns(`x, URI:${scheduler}`)], /names no URI/],
    ["two URIs", [uri(scheduler), uri("https://example.org")], /names 2 URIs; .* exactly one/],
    ["the same URI twice", [uri(scheduler), uri(scheduler)], /names 2 URIs/],
    ["a URI that is none of SPIFFE", [uri("https://example.org/a")], /has to begin with spiffe:/],
    ["a URI with a comma", [uri(`${scheduler}, URI:${scheduler}`)], /a path has letters/],
    ["a URI with a zero byte", [uri(`${scheduler}\0x`)], /a path has letters/],
  ])("is not there with %s", async (_what, names, why) => {
    const certificate = await certificateWith(names);
    expect(() => spiffeIdOf(certificate)).toThrow(why);
  });
});
