import { noSecrets, verify } from "../src/guardrail/index.ts";
import { calls, cite, describeGuardrail, finished, reasonsOf, refusal } from "./support/guardrail-contract.ts";
import { createRandom } from "./support/random.ts";

const random = createRandom(20);
const of = (alphabet: string, length: number) =>
  Array.from({ length }, () => alphabet.charAt(random(alphabet.length))).join("");
const digits = "0123456789";
const lower = "abcdefghijklmnopqrstuvwxyz";
const upper = lower.toUpperCase();
const hex = (length: number) => of("0123456789abcdef", length);
const alnum = (length: number) => of(digits + lower + upper, length);
const url = (length: number) => of(`${digits + lower + upper}_-`, length);
const base64 = (length: number) => of(`${digits + lower + upper}+/`, length);
const number = (length: number) => of("123456789", length);
const base32 = (length: number) => of(`${upper}234567`, length);
/** In pieces, so that no scanner takes this file for what leaks. */
const join = (...parts: string[]) => parts.join("");
const token = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
const pem = (kind: string, headers = "") =>
  join("-----BEGIN ", kind, "-----\n", headers, base64(64), "\n", base64(64), "\n", base64(22), "==\n-----END ", kind, "-----");

/** Each is made anew; a password is one that a person might choose. */
const secrets: [what: string, secret: string][] = [
  ["a private key of PKCS 8", pem(join("PRIVATE", " KEY"))],
  ["an RSA key", pem(join("RSA PRIVATE", " KEY"))],
  ["an encrypted RSA key", pem(join("RSA PRIVATE", " KEY"), "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n")],
  ["an OpenSSH key", pem(join("OPENSSH PRIVATE", " KEY"))],
  ["a PGP key", pem(join("PGP PRIVATE", " KEY BLOCK"), "Version: GnuPG v2\n\n")],
  ["a key in JSON", JSON.stringify(pem(join("PRIVATE", " KEY")))],
  ["a key that was cut off", pem(join("EC PRIVATE", " KEY")).slice(0, 130)],
  ["a JSON Web Token", join(token({ alg: "HS256", typ: "JWT" }), ".", token({ sub: "ana", exp: 17e8 }), ".", url(43))],
  ["one of RS256", join(token({ alg: "RS256", kid: "1" }), ".", token({ iss: "https://a.example" }), ".", url(342))],
  ["PostgreSQL", join("postgres://admin:", alnum(14), "@db.example.com:5432/main")],
  ["MongoDB", join("mongodb+srv://app:", "Winter(2024)!", "@cluster0.abc.mongodb.net/test")],
  ["Redis without a user", join("redis://:", alnum(20), "@cache:6379/0")],
  ["AMQP", join("amqps://svc:", "s3cr%24tpw", "@queue.internal")],
  ["basic authentication in a URL", join("https://ana:", "hunter2", "@intranet.example.com/")],
  ["AWS", join("AK", "IA", base32(16))],
  ["AWS, temporary", join("AS", "IA", base32(16))],
  ["AWS's secret", join("aws_secret_access", "_key = ", base64(40))],
  ["GitHub", join("ghp", "_", alnum(36))],
  ["GitHub, of an app", join("ghs", "_", alnum(36))],
  ["GitHub, fine-grained", join("github", "_pat_", alnum(22), "_", alnum(59))],
  ["GitLab", join("glpat", "-", url(20))],
  ["GitLab, of a runner", join("glrt", "-", url(20))],
  ["Slack, a bot", join("xoxb", "-", number(12), "-", number(12), "-", alnum(24))],
  ["Slack, an app", join("xapp", "-1-A", of(upper, 10), "-", number(13), "-", hex(64))],
  ["Slack's webhook", join("https://hooks.slack", ".com/services/T", base32(8), "/B", base32(10), "/", alnum(24))],
  ["Stripe", join("sk", "_live_", alnum(24))],
  ["Stripe, restricted", join("rk", "_live_", alnum(99))],
  ["Stripe, a test", join("sk", "_test_", alnum(24))],
  ["Stripe's webhook", join("whsec", "_", alnum(32))],
  ["OpenAI", join("sk", "-proj-", url(74), "T3Blbk", "FJ", url(74))],
  ["OpenAI, older", join("sk", "-", alnum(20), "T3Blbk", "FJ", alnum(20))],
  ["Anthropic", join("sk", "-ant-api03-", url(93), "AA")],
  ["OpenRouter", join("sk", "-or-v1-", hex(64))],
  ["Groq", join("gsk", "_", alnum(52))],
  ["Hugging Face", join("hf", "_", of(lower + upper, 34))],
  ["Replicate", join("r8", "_", alnum(37))],
  ["Google", join("AI", "za", url(34), "Q")],
  ["Google OAuth", join("GOC", "SPX-", url(27), "Q")],
  ["Google, an access token", join("ya", "29.", url(120))],
  ["Azure storage", join("AccountName=a;Account", "Key=", base64(86), "==")],
  ["Azure service bus", join("SharedAccessKeyName=Root;SharedAccess", "Key=", base64(43), "=")],
  ["Entra", join(alnum(3), "8Q", "~", alnum(34))],
  ["npm", join("npm", "_", alnum(36))],
  ["PyPI", join("py", "pi-AgEIcHlwaS5vcmc", url(70))],
  ["Docker", join("dckr", "_pat_", alnum(27))],
  ["SendGrid", join("S", "G.", url(22), ".", url(42), "Q")],
  ["Mailgun", join("key", "-", hex(32))],
  ["Twilio", join("S", "K", hex(32))],
  ["DigitalOcean", join("dop", "_v1_", hex(64))],
  ["Databricks", join("da", "pi", hex(32))],
  ["Linear", join("lin", "_api_", alnum(40))],
  ["Grafana", join("gl", "sa_", alnum(32), "_", hex(8))],
  ["Shopify", join("shp", "at_", hex(32))],
  ["Telegram", join(number(10), ":", "AA", url(32), "Q")],
  ["Discord", join("M", alnum(25), ".", url(6), ".", url(37), "Q")],
  ["Vault", join("hv", "s.", url(90), "Q")],
  ["age", join("AGE-SECRET", "-KEY-1", of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58))],
  ["an authorization header", join("Authorization", ": Bearer ", alnum(40))],
  ["an assignment in JSON", join('{"api', 'Key": "', alnum(32), '"}')],
  ["an assignment in a shell", join("export DB_PASS", "WORD='", "Tr0ub4dor&3-x9", "'")],
];

const innocent: string[] = [
  "123e4567-e89b-12d3-a456-426614174000",
  "token: 123e4567-e89b-12d3-a456-426614174000",
  hex(40),
  `commit ${hex(40)}`,
  `sha256:${hex(64)}`,
  `integrity sha512-${base64(86)}==`,
  `etag: "${hex(32)}"`,
  `![logo](data:image/png;base64,iVBORw0KGgo${base64(400)}=)`,
  `<img src="data:image/gif;base64,R0lGODlh${base64(60)}">`,
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJhc2U2NGJhc2U2NGJhc2U2NGJhc2U2NGJhc2U2 ana@example",
  `-----BEGIN CERTIFICATE-----\n${base64(64)}\n${base64(64)}\n-----END CERTIFICATE-----`,
  `-----BEGIN PUBLIC KEY-----\n${base64(64)}\n${base64(64)}\n-----END PUBLIC KEY-----`,
  "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
  "A file that begins with -----BEGIN RSA PRIVATE KEY----- is a private key; keep it to yourself.",
  "sk-...",
  "sk-proj-...",
  "sk-your-key-here",
  "sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
  "YOUR_API_KEY",
  "api_key = YOUR_API_KEY",
  'apiKey: "<your api key>"',
  "export OPENAI_API_KEY=sk-...",
  "const apiKey = process.env.OPENAI_API_KEY2;",
  "password = os.environ['DB_PASSWORD_1']",
  join("token=$", "{GITHUB_TOKEN_2}"),
  "secret: {{ vault.secret.v2 }}",
  "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
  "AKIAIOSFODNN7EXAMPLE",
  "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  "postgres://user:password@localhost:5432/db",
  "postgres://user:<password>@localhost/db",
  join("postgres://user:$", "{PASSWORD}@localhost/db"),
  "https://user:****@example.com/",
  "https://example.com:8443/path@2",
  "http://localhost:3000/@ana",
  "git@github.com:convoke/convoke.git",
  "mailto:ana@example.com",
  "https://example.com/?q=a:b@c",
  "#ff8800",
  "color: #a1b2c3d4",
  "Your password must have 12 characters, one of them a digit.",
  "Password: at least 12 characters",
  "I forgot my password; the token expired.",
  "The secret: practise every day.",
  "The secret=sauce2 of the dish",
  "token: string; password: string | undefined",
  "maxTokens: 4096, token_count=12345678",
  "password: PasswordInput2Props",
  "secret: /run/secrets/db2, the key is under the mat in room 12",
  "primary_key: customers.id",
  "Authorization: Bearer <token>",
  "Authorization: Bearer YOUR_ACCESS_TOKEN_1",
  "eyJ is how a JSON Web Token begins; it has the form eyJ….eyJ….signature",
  "eyJhbGciOiJIUzI1NiJ9",
  "xoxb-your-token",
  "SG.xxxxxxxx.yyyyyyyy",
  "+41 44 668 18 00, IBAN CH93 0076 2011 6238 5295 7, ISBN 978-3-16-148410-0",
  "10.0.0.1:5432, fe80::1ff:fe23:4567:890a, 00:1B:44:11:3A:B7",
  "src/guardrail/secrets.ts:120, node_modules/.bin/tsc, v24.21.0-rc.1+build.5",
  "The quick brown fox jumps over the lazy dog. 0123456789abcdef0123456789abcdef is hexadecimal.",
];

describeGuardrail("noSecrets", {
  create: () => noSecrets(),
  passes: finished(["The password has to be long.", cite("https://example.com/a", "long")], {
    toolCalls: [],
  }),
  blocks: finished(["The key is ", secrets[17]?.[1] ?? "", "."]),
});

const found = (text: string, options?: Parameters<typeof noSecrets>[0]) => reasonsOf(noSecrets(options), finished([text]));

test("60 of each", () => {
  expect([secrets.length, innocent.length]).toEqual([60, 60]);
});

test.each(secrets)("a secret: %s", async (_, secret) => {
  for (const text of [secret, `Here it is: ${secret}\nKeep it.`, `\`${secret}\``, `(${secret})`]) {
    const reasons = await found(text);
    expect(reasons).toEqual([expect.stringMatching(/^a secret \(.+\) at character \d+ of the text$/)]);
  }
});

test.each(secrets)("redacted, nothing of it is left: %s", async (_, secret) => {
  const { result, amendments } = await verify([noSecrets({ mode: "redact" })], finished([`Before ${secret} after`]));
  expect(result.content).toMatch(/^Before [\s\S]*\[[A-Za-z0-9 ']+\][\s\S]* after$/);
  expect(await found(result.content)).toEqual([]);
  for (const part of secret.match(/[A-Za-z0-9+/_-]{24,}/g) ?? []) expect(result.content).not.toContain(part);
  expect(amendments).toMatchObject([{ guardrail: "noSecrets" }]);
});

test.each(innocent)("no secret: %s", async (text) => {
  expect(await found(text)).toEqual([]);
  expect(await found(`Here it is: ${text}\nKeep it.`)).toEqual([]);
});

test("reasons never repeat it", async () => {
  for (const [, secret] of secrets) {
    const error = await refusal([noSecrets()], finished([secret]));
    for (const part of secret.match(/[A-Za-z0-9+/_-]{12,}/g) ?? []) expect(error.message).not.toContain(part);
  }
});

test("citations and the arguments of tool calls are looked at; the latter are never redacted", async () => {
  const secret = join("ghp", "_", alnum(36));
  const cited = finished(["x", cite(`https://a.example/?t=${secret}`, secret)]);
  expect(await reasonsOf(noSecrets(), cited)).toEqual([
    "a secret (GitHub token) at character 22 of the uri of citation 1",
    "a secret (GitHub token) at character 1 of the quote of citation 1",
  ]);
  const { result, trace } = await verify([noSecrets({ mode: "redact" })], cited);
  expect(result.citations).toMatchObject([{ uri: "https://a.example/?t=[GitHub token]", quote: "[GitHub token]" }]);
  expect(trace[1]?.value).toEqual(result.citations[0]);
  const call = calls("mail", JSON.stringify({ text: secret }));
  const calling = finished([call], { toolCalls: call.case === "toolCall" ? [call.value] : [] });
  for (const mode of ["block", "redact"] as const) {
    expect(await reasonsOf(noSecrets({ mode }), calling)).toEqual([
      "a secret (GitHub token) at character 10 of the arguments of tool call 1",
    ]);
  }
});

test("several in one text are each redacted, also over the pieces of a stream", async () => {
  const [one, other] = [join("ghp", "_", alnum(36)), join("AK", "IA", base32(16))];
  const task = finished(["a ", one.slice(0, 9), one.slice(9), " b", cite("u"), ` ${other}`, " c"]);
  const { result, trace } = await verify([noSecrets({ mode: "redact" })], task);
  expect(result.content).toBe("a [GitHub token] b [AWS access key] c");
  expect(trace.map((event) => (event.case === "text" ? event.value : "")).join("")).toBe(result.content);
});

test("another mode is a RangeError", () => {
  expect(() => noSecrets({ mode: "warn" as "block" })).toThrow(RangeError); // what JavaScript may give
});
