import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from "jose";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { identityBounds } from "../src/core/index.ts";
import { createTokenVerifier, type TokenOptions, type TokenVerifier } from "../src/identity/index.ts";
import { listen } from "./support/process.ts";

const folder = mkdtempSync(join(tmpdir(), "convoke-tokens-"));
afterAll(() => rmSync(folder, { recursive: true }));

const issuer = "https://issuer.example";
const audience = "https://agents.example";
const now = () => Math.floor(Date.now() / 1_000);

interface Key {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

async function createKey(kid: string, algorithm = "ES256"): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  return { kid, algorithm, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: algorithm } };
}

/** A token that is in order, but for what is given. A claim that is undefined is left out. */
function tokenOf(
  { kid, algorithm, privateKey }: Key,
  claims: Record<string, unknown> = {},
  header: object = {},
): Promise<string> {
  const payload = { iss: issuer, aud: audience, sub: "ana", exp: now() + 600, ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg: algorithm, kid, ...header }).sign(privateKey);
}

let files = 0;
function keyFile(...keys: readonly { jwk: JWK }[]): string {
  const file = join(folder, `keys-${files++}.json`);
  writeFileSync(file, JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }));
  return file;
}

async function failureOf(call: Promise<unknown>) {
  const thrown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof ConnectError)) throw new Error(`it did not fail with a ConnectError but with ${thrown}`);
  return { code: thrown.code, reason: thrown.findDetails(ErrorInfoSchema)[0]?.reason, message: thrown.message, error: thrown };
}

let key: Key;
let other: Key;
let verifier: TokenVerifier;
beforeAll(async () => {
  [key, other] = await Promise.all([createKey("one"), createKey("two")]);
  verifier = await createTokenVerifier({ issuer, audience, keys: { file: keyFile(key) } });
});

describe("a token is taken", () => {
  test("that is in order, and its claims are given", async () => {
    const exp = now() + 60;
    const token = await tokenOf(key, { exp, scope: "agents", aud: ["other", audience] });
    expect(await verifier.verify(token)).toEqual({
      ...{ issuer, subject: "ana", expiresMs: exp * 1_000 },
      claims: { iss: issuer, sub: "ana", exp, aud: ["other", audience], scope: "agents" },
    });
  });

  test.each(["ES384", "ES512", "EdDSA", "PS256", "RS256"])("that is signed with %s", async (algorithm) => {
    const each = await createKey("k", algorithm);
    const own = await createTokenVerifier({ issuer, audience, keys: { file: keyFile(each) } });
    expect((await own.verify(await tokenOf(each))).subject).toBe("ana");
  });

  test("that expired within the tolerance, or begins within it", async () => {
    const lenient = await createTokenVerifier({ issuer, audience, keys: { file: keyFile(key) }, clockToleranceMs: 60_000 });
    expect((await lenient.verify(await tokenOf(key, { exp: now() - 30 }))).subject).toBe("ana");
    expect((await lenient.verify(await tokenOf(key, { nbf: now() + 30 }))).subject).toBe("ana");
  });
});

describe("a token is refused", () => {
  const none = () => new UnsecuredJWT({ iss: issuer, aud: audience, sub: "root", exp: now() + 600 }).encode();
  /** The public key as the secret of an HMAC: a verifier that lets the token choose would take it. */
  async function confused(): Promise<string> {
    const secret = new TextEncoder().encode(await exportSPKI(key.publicKey));
    const payload = { iss: issuer, aud: audience, sub: "root", exp: now() + 600 };
    return new SignJWT(payload).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(secret);
  }
  /** By hand: jose does not sign what it does not know. */
  async function critical(): Promise<string> {
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const head = encode({ alg: "ES256", kid: "one", crit: ["x"], x: 1 });
    const signed = `${head}.${encode({ iss: issuer, aud: audience, sub: "ana", exp: now() + 600 })}`;
    const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.privateKey, Buffer.from(signed));
    return `${signed}.${Buffer.from(signature).toString("base64url")}`;
  }
  const changed = async () => {
    const [head, , signature] = (await tokenOf(key)).split(".");
    const claims = Buffer.from(JSON.stringify({ iss: issuer, aud: audience, sub: "root", exp: now() + 600 })).toString(
      "base64url",
    );
    return [head, claims, signature].join(".");
  };

  test.each<[what: string, reason: string, make: () => string | Promise<string>]>([
    ["that has expired", "TOKEN_EXPIRED", () => tokenOf(key, { exp: now() - 60 })],
    ["that is not valid yet", "TOKEN_NOT_YET_VALID", () => tokenOf(key, { nbf: now() + 60 })],
    ["of another issuer", "TOKEN_ISSUER", () => tokenOf(key, { iss: "https://other.example" })],
    ["of an issuer with a slash more", "TOKEN_ISSUER", () => tokenOf(key, { iss: `${issuer}/` })],
    ["without an issuer", "TOKEN_ISSUER", () => tokenOf(key, { iss: undefined })],
    ["for another audience", "TOKEN_AUDIENCE", () => tokenOf(key, { aud: "https://other.example" })],
    ["without an audience", "TOKEN_AUDIENCE", () => tokenOf(key, { aud: undefined })],
    ["that never expires", "TOKEN_CLAIMS", () => tokenOf(key, { exp: undefined })],
    ["whose exp is text", "TOKEN_CLAIMS", () => tokenOf(key, { exp: "never" })],
    ["without a subject", "TOKEN_CLAIMS", () => tokenOf(key, { sub: undefined })],
    ["with an empty subject", "TOKEN_CLAIMS", () => tokenOf(key, { sub: "" })],
    ["with a line break in its subject", "TOKEN_CLAIMS", () => tokenOf(key, { sub: "ana\nroot" })],
    ["with a subject that is too long", "TOKEN_CLAIMS", () => tokenOf(key, { sub: "a".repeat(257) })],
    ["that is not signed", "TOKEN_ALGORITHM", none],
    ["that is signed with the public key as a secret", "TOKEN_ALGORITHM", confused],
    ["signed with a key that the issuer does not have", "TOKEN_KEY", () => tokenOf(other)],
    ["signed with another key of that name", "TOKEN_INVALID", () => tokenOf({ ...other, kid: "one" })],
    ["whose claims were changed", "TOKEN_INVALID", changed],
    ["with an extension that has to be understood", "TOKEN_INVALID", critical],
    ["that is none", "TOKEN_INVALID", () => "secret"],
    ["that is empty", "TOKEN_INVALID", () => ""],
    ["of five parts", "TOKEN_INVALID", () => "a.b.c.d.e"],
    ["that is too long", "TOKEN_INVALID", () => tokenOf(key, { padding: "x".repeat(identityBounds.maxTokenBytes) })],
  ])("%s: %s", async (_what, reason, make) => {
    const token = await make();
    const failure = await failureOf(verifier.verify(token));
    expect(failure).toMatchObject({ code: Code.Unauthenticated, reason });
    for (const part of token.split(".")) if (part.length > 6) expect(failure.message).not.toContain(part);
    expect(failure.error.cause).toBeUndefined(); // jose's errors hold the claims
  });

  test("signed in a way that this server does not accept", async () => {
    const strict = await createTokenVerifier({ issuer, audience, keys: { file: keyFile(key) }, algorithms: ["ES384"] });
    expect((await failureOf(strict.verify(await tokenOf(key)))).reason).toBe("TOKEN_ALGORITHM");
  });

  test("that names none of several keys", async () => {
    const several = await createTokenVerifier({ issuer, audience, keys: { file: keyFile(key, other) } });
    expect((await failureOf(several.verify(await tokenOf(key, {}, { kid: undefined })))).reason).toBe("TOKEN_KEY");
  });
});

describe("keys from a URL", () => {
  /** A key server and how often it was asked. */
  async function startKeys(answer: RequestListener) {
    let asked = 0;
    const server = createServer((request, response) => {
      asked++;
      answer(request, response);
    });
    const url = `http://${await listen(server)}/keys`;
    return { url, asked: () => asked };
  }
  const verifierOf = (url: string) => createTokenVerifier({ issuer, audience, keys: { url } });

  test("are asked for once, whatever the tokens name", async () => {
    const { url, asked } = await startKeys((_request, response) => response.end(JSON.stringify({ keys: [key.jwk] })));
    const own = await verifierOf(url);
    expect(asked()).toBe(0);
    const tokens = await Promise.all([tokenOf(key), tokenOf(key), tokenOf(key)]);
    await Promise.all(tokens.map((token) => own.verify(token)));
    for (const kid of ["a", "b", "c"]) {
      expect((await failureOf(own.verify(await tokenOf({ ...other, kid })))).reason).toBe("TOKEN_KEY");
    }
    expect(asked()).toBe(1); // it is too soon to ask again
  });

  test.each<[what: string, answer: RequestListener]>([
    ["answers with an error", (_request, response) => response.writeHead(500).end("{}")],
    ["sends elsewhere", (_request, response) => response.writeHead(302, { location: "/keys" }).end()],
    ["answers with no JSON", (_request, response) => response.end("<html>")],
    ["answers with no keys", (_request, response) => response.end("{}")],
    ["answers without end", (_request, response) => response.end(Buffer.alloc(identityBounds.maxKeySetBytes + 1, " "))],
    ["breaks off", (request) => request.socket.destroy()],
  ])("that cannot be had are UNAVAILABLE: the server %s", async (_what, answer) => {
    const { url, asked } = await startKeys(answer);
    const own = await verifierOf(url);
    const token = await tokenOf(key);
    for (let call = 0; call < 2; call++) {
      const { code, message } = await failureOf(own.verify(token));
      expect(code).toBe(Code.Unavailable);
      expect(message).not.toContain(url);
    }
    expect(asked()).toBe(1); // a server in trouble is left alone for a while
  });

  test.each([
    "http://issuer.example/keys",
    "ftp://127.0.0.1/keys",
    "file:///etc/keys",
    "keys",
    "https://user:secret@issuer.example/",
  ])("are not taken from %s", async (url) => {
    await expect(verifierOf(url)).rejects.toThrow(TypeError);
  });
});

describe("keys change", () => {
  const clock = performance.now;
  afterEach(() => {
    performance.now = clock;
  });

  /** Moves the clock that keys grow old by. */
  function pass(ms: number): void {
    const before = performance.now.bind(performance);
    performance.now = () => before() + ms;
  }

  test("a new one is taken when a token names it, at the earliest after the cooldown", async () => {
    const file = keyFile(key);
    const own = await createTokenVerifier({ issuer, audience, keys: { file } });
    writeFileSync(file, JSON.stringify({ keys: [key.jwk, other.jwk] }));
    expect((await failureOf(own.verify(await tokenOf(other)))).reason).toBe("TOKEN_KEY");
    pass(identityBounds.keyFileCooldownMs);
    expect((await own.verify(await tokenOf(other))).subject).toBe("ana");
    expect((await own.verify(await tokenOf(key))).subject).toBe("ana");
  });

  test("one that is taken back is no longer trusted", async () => {
    const file = keyFile(key, other);
    const own = await createTokenVerifier({ issuer, audience, keys: { file } });
    writeFileSync(file, JSON.stringify({ keys: [key.jwk] }));
    pass(identityBounds.keyFileMaxAgeMs);
    expect((await failureOf(own.verify(await tokenOf(other)))).reason).toBe("TOKEN_KEY");
  });

  test("those that are there stay good while they cannot be had anew, for a day", async () => {
    const file = keyFile(key);
    const own = await createTokenVerifier({ issuer, audience, keys: { file } });
    writeFileSync(file, '{ "keys": [');
    pass(identityBounds.keySetStaleMs - 60_000);
    expect((await own.verify(await tokenOf(key))).subject).toBe("ana");
    pass(60_000);
    expect((await failureOf(own.verify(await tokenOf(key)))).code).toBe(Code.Unavailable);
    writeFileSync(file, JSON.stringify({ keys: [key.jwk] }));
    pass(identityBounds.keyFileCooldownMs);
    expect((await own.verify(await tokenOf(key))).subject).toBe("ana");
  });
});

describe("options that cannot work are refused:", () => {
  test.each<[what: string, options: Partial<TokenOptions>, why: RegExp]>([
    ["an empty issuer", { issuer: "" }, /is no issuer/],
    ["an issuer with #", { issuer: "https://issuer.example#a" }, /hold no #/],
    ["no audience", { audience: [] }, /audience must name/],
    ["an empty audience", { audience: "" }, /audience must name/],
    ["no algorithm", { algorithms: [] }, /algorithms has nothing/],
    ["HS256", { algorithms: ["HS256" as "ES256"] }, /algorithms has HS256; take some of ES256/], // as a program without types might
    ["none", { algorithms: ["none" as "ES256"] }, /algorithms has none/], // the same
    ["a negative tolerance", { clockToleranceMs: -1 }, /must be from 0/],
    ["a tolerance without bound", { clockToleranceMs: Number.POSITIVE_INFINITY }, /must be from 0/],
    ["a key file that is not there", { keys: { file: "none.json" } }, /the keys of none\.json cannot be had: ENOENT/],
  ])("%s", async (_what, options, why) => {
    await expect(createTokenVerifier({ issuer, audience, keys: { file: keyFile(key) }, ...options })).rejects.toThrow(why);
  });
});
