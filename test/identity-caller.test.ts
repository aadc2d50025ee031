import { X509Certificate } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { unauthenticated } from "../src/core/index.ts";
import {
  type CertificatePair,
  createIdentify,
  type Evidence,
  type IdentifyOptions,
  issueCertificate,
  type TokenVerifier,
} from "../src/identity/index.ts";
import { exampleAuthority, signCertificate } from "./support/authority.ts";

let authority: CertificatePair;
beforeAll(async () => {
  authority = await exampleAuthority();
});

const id = "spiffe://example.org/agent/scheduler";
const uri = (value: string) => ({ type: "url", value }) as const;
const hourMs = 3_600_000;

function derOf({ certificate }: CertificatePair): Uint8Array {
  return new X509Certificate(certificate).raw;
}

const claims = { issuer: "https://issuer.example", subject: "ana", expiresMs: 1, claims: {} };
/** Takes one token; what a real one takes is for its own tests. */
const tokens: TokenVerifier = {
  async verify(token) {
    if (token !== "good") throw unauthenticated("the token is not valid", "TOKEN_INVALID");
    return claims;
  },
};

async function reasonOf(options: IdentifyOptions, evidence: Evidence): Promise<string | undefined> {
  try {
    await createIdentify(options)(evidence);
  } catch (thrown) {
    if (thrown instanceof ConnectError && thrown.code === Code.Unauthenticated)
      return thrown.findDetails(ErrorInfoSchema)[0]?.reason;
    throw thrown;
  }
  throw new Error("somebody was identified");
}

describe("a caller is", () => {
  test("whom its certificate names, at once, and for every request of its connection", async () => {
    const certificate = derOf(await issueCertificate(authority, { name: "scheduler" }));
    const identify = createIdentify({ trustDomains: ["example.org"], tokens });
    const caller = identify({ certificate, authorization: "Bearer bad" }); // the header is not looked at
    expect(caller).toMatchObject({ name: id, proof: "mtls", spiffeId: { id, trustDomain: "example.org" } });
    expect(identify({ certificate })).toBe(caller);
  });

  test.each(["Bearer good", "bearer good", "BEARER  good "])("whom its token names: %j", async (authorization) => {
    const caller = await createIdentify({ tokens, allowAnonymous: true })({ authorization });
    expect(caller).toEqual({ name: "https://issuer.example#ana", proof: "token", token: claims, expiresMs: 1 });
  });

  test("anonymous where that is allowed", async () => {
    const identify = createIdentify({ tokens, allowAnonymous: true });
    expect(identify({})).toEqual({ name: "anonymous", proof: "none" });
  });

  test("anonymous with a header that is the program's own, where no tokens are taken", async () => {
    expect(createIdentify({ allowAnonymous: true })({ authorization: "Basic YTpi" })).toEqual({
      name: "anonymous",
      proof: "none",
    });
  });
});

describe("a caller is refused, and never anonymous,", () => {
  const options = { trustDomains: ["example.org"], tokens, allowAnonymous: true };

  test.each<[what: string, reason: string, make: () => Promise<CertificatePair>]>([
    ["without a URI", "CERTIFICATE_IDENTITY", () => signCertificate(authority, { names: [] })],
    ["with two URIs", "CERTIFICATE_IDENTITY", () => signCertificate(authority, { names: [uri(id), uri("https://a.example")] })],
    [
      "with a URI of another scheme",
      "CERTIFICATE_IDENTITY",
      () => signCertificate(authority, { names: [uri("https://a.example")] }),
    ],
    [
      "of a trust domain that is not trusted",
      "TRUST_DOMAIN",
      () => signCertificate(authority, { names: [uri("spiffe://other.org/a")] }),
    ],
    ["of a trust domain below", "TRUST_DOMAIN", () => signCertificate(authority, { names: [uri("spiffe://a.example.org/a")] })],
    [
      "that expired while the connection lasted",
      "CERTIFICATE_EXPIRED",
      () => signCertificate(authority, { names: [uri(id)], fromMs: -2 * hourMs, untilMs: -hourMs }),
    ],
  ])("with a certificate %s: %s", async (_what, reason, make) => {
    expect(await reasonOf(options, { certificate: derOf(await make()) })).toBe(reason);
  });

  test("with a certificate where no trust domain is named", async () => {
    const certificate = derOf(await issueCertificate(authority, { name: "a" }));
    expect(await reasonOf({ allowAnonymous: true }, { certificate })).toBe("TRUST_DOMAIN");
  });

  test.each([
    "Bearer bad",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "Basic YTpi",
    "good",
    "",
    "Bearer good, Bearer bad",
    "Bearer g\u00f6\u00f6d",
  ])("with the header %j", async (authorization) => {
    expect(await reasonOf(options, { authorization })).toBe("TOKEN_INVALID");
  });

  test("without any proof where one is asked for", async () => {
    expect(await reasonOf({ tokens }, {})).toBe("CREDENTIALS_MISSING");
  });
});
