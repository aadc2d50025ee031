import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectStream, formatConnectTimeout } from "../src/wire/client/connect-stream.ts";
import { connectUnary } from "../src/wire/client/connect-unary.ts";
import { formatGrpcTimeout, grpc } from "../src/wire/client/grpc.ts";
import { grpcWeb } from "../src/wire/client/grpc-web.ts";
import { createClientMethod, type ProtocolName, type WireOptions } from "../src/wire/client/method.ts";
import type { ClientProtocol, WholeResponse } from "../src/wire/client/protocol.ts";
import { callStream } from "../src/wire/client/stream.ts";
import { callUnary } from "../src/wire/client/unary.ts";
import { findCompression, firstAccepted } from "../src/wire/compression.ts";
import { type Envelope, EnvelopeReader, joinEnvelopes } from "../src/wire/envelope.ts";
import type { HeaderList } from "../src/wire/exchange.ts";
import { appendUserFields, fieldsOf, noFields, toHeaders } from "../src/wire/headers.ts";
import { createRpcHandler } from "../src/wire/index.ts";
import { addFields, NodeFields } from "../src/wire/node/fields.ts";
import { Base64Reader } from "../src/wire/server/base64.ts";
import { parseConnectTimeout } from "../src/wire/server/connect-stream.ts";
import { readContentType } from "../src/wire/server/content-type.ts";
import { parseGrpcTimeout } from "../src/wire/server/grpc.ts";
import { decodeByTheBook, readByTheBook, toldBy } from "./support/bodies.ts";
import { answering, type DrivenAnswer, type DrivenResponse, drive } from "./support/driven.ts";
import { type Kind, Kinds, pathOf } from "./support/kinds.ts";
import { bytesOf, createRandom, mutate, pick, type Random, seed, split } from "./support/random.ts";

let tried = 0;

/** Checks a property for random cases. `work` checks one, or tells how many it has checked. */
function property(title: string, cases: number, work: (random: Random) => number | void | Promise<void>): void {
  test(title, async () => {
    const random = createRandom(seed);
    for (let done = 0; done < cases; ) {
      try {
        const result = work(random);
        done += typeof result === "number" ? result : 1;
        if (typeof result === "object") await result;
      } catch (thrown) {
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        throw new Error(`with SEED=${seed}, case ${done}: ${reason}`, { cause: thrown });
      }
    }
    tried += cases;
  });
}

/** Jest's `expect` costs more than what is tested here. */
function claim(holds: boolean, what: () => string): void {
  if (!holds) throw new Error(what());
}

function same(found: unknown, expected: unknown, what: () => string): void {
  claim(Object.is(found, expected), () => `${what()}: ${String(found)} instead of ${String(expected)}`);
}

/** Runs it and gives the code of the ConnectError it throws, or undefined. @throws whatever else it throws. */
function codeThrown(work: () => unknown): Code | undefined {
  try {
    work();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof ConnectError) return thrown.code;
    throw thrown;
  }
}

const quote = (bytes: Uint8Array | string) => JSON.stringify(Buffer.from(bytes).toString("latin1"));

const message = (value: string) => Buffer.from(toBinary(StringValueSchema, create(StringValueSchema, { value })));

/** Pushes the pieces, and tells what came of it. */
function readPieces(pieces: readonly Buffer[], maxBytes: number) {
  const envelopes: Envelope[] = [];
  const reader = new EnvelopeReader(maxBytes, { envelope: (flags, payload) => envelopes.push({ flags, payload }) });
  const code = codeThrown(() => {
    for (const piece of pieces) reader.push(piece);
  });
  return { envelopes, code, incomplete: reader.incomplete };
}

function sameEnvelopes(found: readonly Envelope[], expected: readonly Envelope[], what: () => string): void {
  same(found.length, expected.length, () => `${what()}: envelopes`);
  expected.forEach(({ flags, payload }, index) => {
    same(found[index]?.flags, flags, () => `${what()}: flags of envelope ${index}`);
    claim(Buffer.compare(found[index]?.payload ?? Buffer.alloc(0), payload) === 0, () => `${what()}: payload ${index}`);
  });
}

function someEnvelopes(random: Random, maxBytes: number): Envelope[] {
  return Array.from({ length: 1 + random(4) }, () => ({
    flags: pick(random, 0, 0, 1, 2, 0x80, random(256)),
    payload: bytesOf(random, pick(random, 1, 4, maxBytes + 1)),
  }));
}

describe("envelopes", () => {
  property("cut in two at every byte are the same envelopes", 190_000, (random) => {
    const envelopes = someEnvelopes(random, 40);
    const bytes = joinEnvelopes(envelopes);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { code, incomplete, ...read } = readPieces([bytes.subarray(0, cut), bytes.subarray(cut)], 40);
      same(code, undefined, () => "an error");
      same(incomplete, false, () => "an end in the middle");
      sameEnvelopes(read.envelopes, envelopes, () => `cut at ${cut} of ${quote(bytes)}`);
    }
    return bytes.length + 1;
  });

  property("cut into any pieces are the same envelopes, and every end in their middle is seen", 60_000, (random) => {
    const envelopes = someEnvelopes(random, 60);
    if (random(100) === 0) envelopes.push({ flags: 0, payload: Buffer.alloc(random(70_000), random(256)) });
    const bytes = joinEnvelopes(envelopes);
    const end = random(bytes.length + 1);
    const { code, incomplete, ...read } = readPieces(split(bytes.subarray(0, end), random), 70_000);
    const expected = readByTheBook(bytes.subarray(0, end), 70_000);
    same(code, undefined, () => "an error");
    same(incomplete, !expected.whole, () => `an end in the middle at ${end} of ${quote(bytes)}`);
    sameEnvelopes(read.envelopes, expected.envelopes, () => `the first ${end} of ${quote(bytes)}`);
  });

  property("mutated are what the format says, or RESOURCE_EXHAUSTED where one is too long", 100_000, (random) => {
    const bytes = mutate(joinEnvelopes(someEnvelopes(random, 40)), random);
    const found = readPieces(split(bytes, random), 40);
    const expected = readByTheBook(bytes, 40);
    same(found.code, expected.tooLong ? Code.ResourceExhausted : undefined, () => `code for ${quote(bytes)}`);
    if (!expected.tooLong) same(found.incomplete, !expected.whole, () => `an end in the middle of ${quote(bytes)}`);
    sameEnvelopes(found.envelopes, expected.envelopes, () => quote(bytes));
  });

  test("a length that is announced allocates nothing", () => {
    const before = process.memoryUsage().arrayBuffers;
    const announced = Buffer.from([0, 0, 0x40, 0, 0, 1]); // 4 MiB, and their first byte
    const readers = Array.from({ length: 1_000 }, () => new EnvelopeReader(4 * 1024 * 1024, { envelope: () => {} }));
    for (const reader of readers) reader.push(announced);
    expect(readers.every(({ incomplete }) => incomplete)).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
  });

  test("a message that came in one piece is not copied", () => {
    const bytes = joinEnvelopes([{ flags: 0, payload: Buffer.from("one") }]);
    const [envelope] = readPieces([bytes], 10).envelopes;
    expect(envelope?.payload.buffer).toBe(bytes.buffer);
  });
});

function readBase64(pieces: readonly Buffer[]) {
  const reader = new Base64Reader();
  const decoded: Buffer[] = [];
  const code = codeThrown(() => {
    for (const piece of pieces) decoded.push(reader.push(piece));
    reader.end();
  });
  return { code, decoded: Buffer.concat(decoded) };
}

describe("base64", () => {
  property("in pieces that are padded one by one and cut anywhere is what Buffer reads", 60_000, (random) => {
    const parts = Array.from({ length: 1 + random(4) }, () => bytesOf(random, 24));
    const text = Buffer.from(parts.map((part) => part.toString("base64")).join(""));
    const { code, decoded } = readBase64(split(text, random));
    same(code, undefined, () => `code for ${quote(text)}`);
    claim(decoded.equals(Buffer.concat(parts)), () => quote(text));
  });

  property("mutated is INVALID_ARGUMENT where it is none, and nothing of it is read from there on", 40_000, (random) => {
    const text = mutate(Buffer.from(bytesOf(random, 40).toString("base64")), random);
    const { code, decoded } = readBase64(split(text, random));
    const expected = decodeByTheBook(text.toString("latin1"));
    same(code, expected.valid ? undefined : Code.InvalidArgument, () => `code for ${quote(text)}`);
    claim(decoded.equals(expected.decoded.subarray(0, decoded.length)), () => quote(text));
    if (expected.valid) same(decoded.length, expected.decoded.length, () => quote(text));
  });

  test("a megabyte in one piece is read", () => {
    const bytes = Buffer.alloc(1024 * 1024, "base64");
    expect(readBase64([Buffer.from(bytes.toString("base64"))]).decoded.equals(bytes)).toBe(true);
  });
});

/** Every content type that is served: which protocol and codec, and for which kinds. */
const contentTypes = new Map<string, string>(
  ["proto", "json"].flatMap((codec): [string, string][] => [
    [`application/${codec}`, `connect ${codec} unary`],
    [`application/connect+${codec}`, `connect ${codec} stream`],
    [`application/grpc+${codec}`, `grpc ${codec} any`],
    [`application/grpc-web+${codec}`, `grpc-web ${codec} any`],
    [`application/grpc-web-text+${codec}`, `grpc-web ${codec} any text`],
  ]),
);
for (const name of ["grpc", "grpc-web", "grpc-web-text"]) {
  contentTypes.set(`application/${name}`, contentTypes.get(`application/${name}+proto`) ?? "");
}

/** Letters of any case, a parameter, and often a mutation. */
function disturb(text: string, random: Random): string {
  let disturbed = text;
  if (random(4) === 0) disturbed = disturbed.toUpperCase();
  if (random(4) === 0)
    disturbed += pick(random, ";charset=utf-8", "; charset=UTF8", ";  charset=utf-8", "; charset=latin1", ";", " ");
  return random(2) === 0 ? disturbed : mutate(Buffer.from(disturbed), random).toString("latin1");
}

property("a content type is a protocol, a codec and a kind of call, or none at all", 60_000, (random) => {
  const text = disturb(pick(random, ...([...contentTypes.keys()] as [string, ...string[]])), random); // there are some
  const kind = pick<Kind>(random, "unary", "server", "client", "bidi");
  const found = readContentType(text, Kinds.method[kind]);
  const [bare = ""] = text.toLowerCase().split(/; ?charset=utf-?8$/);
  const served = bare.length === text.length || bare.endsWith("json") ? contentTypes.get(bare) : undefined;
  const fits = served?.includes("any") || served?.includes(kind === "unary" ? "unary" : "stream");
  const [protocol, codec] = served?.split(" ") ?? [];
  same(found?.protocol.name, fits ? protocol : undefined, () => `${kind} ${quote(text)}`);
  same(found?.codec, fits ? codec : undefined, () => `codec of ${quote(text)}`);
  same(found?.text, fits ? served?.endsWith("text") : undefined, () => `base64 of ${quote(text)}`);
});

const [second, minute, hour] = [1_000, 60_000, 3_600_000];

describe("timeouts", () => {
  /** From microseconds to weeks, all magnitudes alike. */
  const someTimeout = (random: Random) => (1 + random(1_000_000)) * 10 ** (random(16) - 9);

  property("of gRPC reach the server no shorter, and less than one unit longer", 50_000, (random) => {
    const timeoutMs = someTimeout(random);
    const text = formatGrpcTimeout(timeoutMs);
    const parsedMs = parseGrpcTimeout(text);
    const unitMs = text.endsWith("m") ? 1 : text.endsWith("S") ? second : hour;
    claim(parsedMs >= timeoutMs && parsedMs < timeoutMs + unitMs, () => `${timeoutMs} became ${text}`);
  });

  property("of Connect reach the server no shorter, and less than a millisecond longer", 50_000, (random) => {
    const timeoutMs = someTimeout(random);
    const text = formatConnectTimeout(timeoutMs);
    const parsedMs = parseConnectTimeout(text);
    if (timeoutMs > 9_999_999_999) same(text, "9999999999", () => String(timeoutMs));
    else claim(parsedMs >= timeoutMs && parsedMs < timeoutMs + 1, () => `${timeoutMs} became ${text}`);
  });

  property("mutated are a number of at most eight digits and a unit, or INVALID_ARGUMENT", 50_000, (random) => {
    const text = mutate(Buffer.from(`${random(99_999_999)}${pick(random, "H", "M", "S", "m", "u", "n")}`), random).toString(
      "latin1",
    );
    const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
    let parsedMs: number | undefined;
    const code = codeThrown(() => {
      parsedMs = parseGrpcTimeout(text);
    });
    same(code, digits === undefined ? Code.InvalidArgument : undefined, () => `code for ${quote(text)}`);
    const unitMs = { H: hour, M: minute, S: second, m: 1, u: 0.001, n: 0.000_001 }[unit] ?? Number.NaN;
    if (digits !== undefined) same(parsedMs, Number(digits) * unitMs, () => quote(text));
  });

  property("of Connect mutated are at most ten digits, or INVALID_ARGUMENT", 30_000, (random) => {
    const text = mutate(Buffer.from(String(random(2 ** 31) * 4)), random).toString("latin1");
    let parsedMs: number | undefined;
    const code = codeThrown(() => {
      parsedMs = parseConnectTimeout(text);
    });
    const valid = /^[0-9]{1,10}$/.test(text);
    same(code, valid ? undefined : Code.InvalidArgument, () => `code for ${quote(text)}`);
    if (valid) same(parsedMs, Number(text), () => quote(text));
  });
});

describe("compressions", () => {
  const known = ["gzip", "br"];

  property("are known by name, none for identity, or UNIMPLEMENTED", 20_000, (random) => {
    const name = pick(random, "gzip", "br", "identity", "", "zstd", "deflate", "__proto__", "constructor");
    const text = random(2) === 0 ? name : mutate(Buffer.from(name || "x"), random).toString("latin1");
    let found: string | undefined;
    const code = codeThrown(() => {
      found = findCompression(text)?.name;
    });
    const served = text === "" || text === "identity" || known.includes(text);
    same(code, served ? undefined : Code.Unimplemented, () => `code for ${quote(text)}`);
    same(found, known.includes(text) ? text : undefined, () => quote(text));
  });

  property("of a list: the first that is known and not refused with q=0", 30_000, (random) => {
    const items = Array.from({ length: random(5) }, () => ({
      name: pick(random, "gzip", "br", "identity", "zstd", "*"),
      quality: pick(random, "", ";q=1", "; q=0.5", ";q=0", "; q=0.000", " ;Q=0.0", ";q=0.001"),
    }));
    const list = items.map(({ name, quality }) => name + quality).join(pick(random, ",", ", ", " ,  "));
    const accepted = items.find(({ name, quality }) => known.includes(name) && Number(quality.split("=")[1] ?? 1) > 0);
    same(firstAccepted(list)?.name, accepted?.name, () => quote(list));
  });
});

const statuses = ["0", "1", "5", "13", "16", "17", "00", "0x", "-1", "x", "", " 0", "0, 0", "1.5", "4294967296"] as const;
const messages = ["fine", "", "50%25", "%", "%zz", "%e4%b8", "a%20b", "\u00e9", "%00"] as const;

/** google.rpc.Status with a code, and often none at all. */
function someDetails(random: Random): string {
  const status = Buffer.from([0x08, random(20), 0x12, 1, 0x78]);
  return pick(random, status, mutate(status, random), bytesOf(random, 12)).toString(
    pick(random, "base64", "base64url", "latin1"),
  );
}

function someTrailers(random: Random): string[] {
  const list: string[] = [];
  if (random(6) > 0) list.push("grpc-status", pick(random, ...statuses));
  if (random(3) > 0) list.push("grpc-message", pick(random, ...messages));
  if (random(4) === 0) list.push("grpc-status-details-bin", someDetails(random));
  if (random(4) === 0)
    list.push(pick(random, "x-more", "", "b\u00e4d", "a b", "grpc-status"), pick(random, "v", "0", "\n", "\u20ac"));
  return list;
}

const response = (given: Partial<WholeResponse>): WholeResponse => ({
  ...{ status: 200, headers: noFields, codec: "proto", trailers: noFields },
  ...{ end: undefined, errorBody: undefined, sawBody: true, ...given },
});

/** Reads an outcome that must be OK where `ok` says so, and else an error with a code that exists. */
function readsOutcome(protocol: ClientProtocol, given: Partial<WholeResponse>, ok: boolean): ConnectError | undefined {
  const shown = () => JSON.stringify({ ...given, trailers: given.trailers?.list(), end: given.end && quote(given.end) });
  let error: ConnectError | undefined;
  try {
    error = protocol.readOutcome(response(given)).error;
  } catch (thrown) {
    throw new Error(`${shown()} throws ${String(thrown)}`);
  }
  same(error === undefined, ok, () => `OK for ${shown()}`);
  claim(error === undefined || (error instanceof ConnectError && error.code in Code), () => `${error?.code} for ${shown()}`);
  return error;
}

describe("the outcome of a response is OK for an explicit status of OK alone", () => {
  property("in the trailers of gRPC; a message that cannot be decoded hides nothing", 40_000, (random) => {
    const list = someTrailers(random);
    const fields = fieldsOf(list);
    const error = readsOutcome(grpc, { trailers: fields }, fields.get("grpc-status") === "0");
    const status = fields.get("grpc-status") ?? "";
    if (fields.get("grpc-status-details-bin") !== undefined || !["1", "5", "13", "16"].includes(status)) return;
    same(error?.code, Number(status), () => JSON.stringify(list));
    const text = fields.get("grpc-message") ?? "";
    if (text !== "" && /^[ -~]*$/.test(text)) same(error?.rawMessage, decodedOrRaw(text), () => JSON.stringify(list));
  });

  property("in the block at the end of a gRPC-Web body", 40_000, (random) => {
    const list = someTrailers(random);
    let block = "";
    for (let index = 0; index < list.length; index += 2)
      block += `${list[index]}${pick(random, ":", ": ")}${list[index + 1]}\r\n`;
    const text = random(2) === 0 ? block : mutate(Buffer.from(block || "x", "latin1"), random).toString("latin1");
    const statuses = text.split("\r\n").flatMap((line) => /^\s*grpc-status\s*:(.*)$/is.exec(line)?.[1]?.trim() ?? []);
    readsOutcome(grpcWeb, { end: Buffer.from(text, "latin1") }, statuses.join(", ") === "0");
  });

  property("in the end of a Connect stream: an object without an error", 20_000, (random) => {
    const end = JSON.stringify({
      ...(random(2) === 0 && {
        error: pick<unknown>(random, null, {}, { code: "not_found" }, { code: 5 }, "x", [], { details: [1] }),
      }),
      ...(random(2) === 0 && {
        metadata: pick<unknown>(random, {}, { a: ["b"] }, { a: "b" }, { "": ["b"] }, { a: ["\n", "\u20ac"] }, null),
      }),
    });
    const bytes = random(2) === 0 ? Buffer.from(end) : mutate(Buffer.from(end), random);
    const error = readsOutcome(connectStream, { end: bytes }, endsWell(bytes));
    if (end === '{"error":{"code":"not_found"}}' && bytes.equals(Buffer.from(end))) same(error?.code, Code.NotFound, () => end);
  });

  property("and for no body that says nothing of it", 2_000, (random) => {
    const headers = fieldsOf(someTrailers(random).filter((text) => text !== "grpc-status"));
    for (const protocol of [grpc, grpcWeb, connectStream]) readsOutcome(protocol, { headers }, false);
    const errorBody = pick(
      random,
      bytesOf(random, 20),
      Buffer.from("{}"),
      Buffer.from('{"code":"aborted"}'),
      Buffer.from("null"),
    );
    readsOutcome(connectUnary, { status: 200 + random(400), headers, errorBody }, false);
  });

  property("a head lets messages through for HTTP 200 and the right content type alone", 28_000, (random) => {
    const [name, protocol, types] = pick<[string, ClientProtocol, string[]]>(
      random,
      ["grpc", grpc, ["application/grpc", "application/grpc+proto"]],
      ["grpc-web", grpcWeb, ["application/grpc-web", "application/grpc-web+proto"]],
      ["connect", connectStream, ["application/connect+proto"]],
      ["connect unary", connectUnary, ["application/proto"]],
    );
    const status = pick(random, 200, 200, 200 + random(400));
    const type = disturb(pick(random, ...([...contentTypes.keys()] as [string, ...string[]])), random); // there are some
    let read: string | undefined;
    const code = codeThrown(() => {
      read = protocol.readHead({ status, headers: fieldsOf(["content-type", type]), codec: "proto" });
    });
    claim((code === undefined) !== (read === undefined), () => "neither read nor thrown");
    const statusFits = status === 200 || (protocol === grpcWeb && status < 300);
    same(read === "messages", statusFits && types.includes(type.toLowerCase()), () => `${name} ${status} ${quote(type)}`);
  });
});

/** PROTOCOL-HTTP2.md, "Status-Message": what cannot be decoded is shown as it came. */
function decodedOrRaw(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function endsWell(bytes: Buffer): boolean {
  try {
    const end: unknown = JSON.parse(bytes.toString());
    if (typeof end !== "object" || end === null || Array.isArray(end)) return false;
    const { error, metadata = {} } = end as { error?: unknown; metadata?: unknown }; // an object, as has been seen
    if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) return false;
    const headers = new Headers();
    for (const [name, values] of Object.entries(metadata)) {
      if (!Array.isArray(values) || values.some((value) => typeof value !== "string")) return false;
      for (const value of values) headers.append(name, value);
    }
    return error === undefined || error === null;
  } catch {
    return false;
  }
}

describe("fields", () => {
  const someName = (random: Random) =>
    pick(random, "a", "b", "x-long-name", "content-type", "te", "__proto__", "", "\u00e9", "a b");
  const someList = (random: Random): string[] =>
    Array.from({ length: random(6) }, () => [someName(random), bytesOf(random, 6).toString("latin1")]).flat();
  const valuesOf = (list: HeaderList, name: string) => list.filter((_, index) => index % 2 === 1 && list[index - 1] === name);

  property("of one name are joined in order, whichever side holds them", 30_000, (random) => {
    const list = someList(random);
    const name = someName(random);
    const values = valuesOf(list, name);
    same(fieldsOf(list).get(name), values.length === 0 ? undefined : values.join(", "), () => JSON.stringify([name, list]));
    const node = new NodeFields(addFields(Object.create(null), list) as ConstructorParameters<typeof NodeFields>[0]); // of strings and lists, as Node's own
    same(node.get(name), fieldsOf(list).get(name), () => `${name} by Node of ${JSON.stringify(list)}`);
    same(valuesOf(node.list(), name).join(), values.join(), () => `list by Node of ${JSON.stringify(list)}`);
  });

  property(
    "become Headers, without those that Headers cannot hold; reserved ones never become the user's",
    20_000,
    (random) => {
      const list = someList(random);
      const headers = toHeaders(list);
      const expected = new Headers();
      for (let index = 0; index < list.length; index += 2) {
        const [name = "", value = ""] = [list[index], list[index + 1]];
        if (/^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name) && !/[\0\r\n]/.test(value.replace(/^[\t\r\n ]+|[\t\r\n ]+$/g, "")))
          expected.append(name, value);
      }
      same(JSON.stringify([...headers]), JSON.stringify([...expected]), () => JSON.stringify(list));
      const own: string[] = [];
      appendUserFields(own, headers);
      claim(valuesOf(own, "te").length + valuesOf(own, "content-type").length === 0, () => JSON.stringify(own));
    },
  );
});

const handler = createRpcHandler({
  routes: (router) =>
    router.service(Kinds, {
      unary: ({ value }) => ({ value }),
      async *server({ value }) {
        yield { value };
      },
      async client(given) {
        let joined = "";
        for await (const { value } of given) joined += value;
        return { value: joined };
      },
      async *bidi(given) {
        for await (const { value } of given) yield { value };
      },
    }),
});

property("a Connect GET carries its message in any spelling of its query", 10_000, async (random) => {
  const value = `v${random(1_000_000)}\u00e9`;
  const [plain, packed] = [message(value), random(50) === 0];
  const binary = packed ? gzipSync(plain) : plain;
  const parameters = [
    ...["connect=v1", "base64=1", `encoding=${random(4) === 0 ? "%70roto" : "proto"}`],
    `message=${encodeURIComponent(binary.toString(pick(random, "base64", "base64url")))}`,
    ...(packed ? ["compression=gzip"] : []),
    ...(random(4) === 0 ? ["other=1", "message"] : []),
  ];
  const answer = await drive(handler.handle, {
    method: "GET",
    path: `${pathOf("unary")}?${rotate(parameters.slice(0, 4 + (packed ? 1 : 0)), random).join("&")}`,
  });
  same(answer.status, 200, () => parameters.join("&"));
  same(fromBinary(StringValueSchema, answer.body).value, value, () => parameters.join("&"));
});

property("a mutated Connect GET is the message it holds, or an error of the protocol's own", 10_000, async (random) => {
  const query = mutate(
    Buffer.from(`connect=v1&base64=1&encoding=proto&message=${message("hello there").toString("base64url")}`),
    random,
  );
  const path = `${pathOf("unary")}?${query.toString("latin1")}`;
  const answer = await drive(handler.handle, { method: "GET", path });
  claim([200, 400, 415].includes(answer.status) && !answer.reset, () => `${answer.status} for ${quote(path)}`);
  if (answer.status === 200) fromBinary(StringValueSchema, answer.body);
  if (answer.status === 400) same(JSON.parse(answer.body.toString()).code, "invalid_argument", () => quote(path));
});

function rotate<T>(list: readonly T[], random: Random): T[] {
  const start = random(list.length);
  return [...list.slice(start), ...list.slice(0, start)];
}

const kinds = ["unary", "server", "client", "bidi"] as const;

function statusIn({ headers, trailers }: DrivenAnswer): string | undefined {
  return fieldsOf(trailers).get("grpc-status") ?? fieldsOf(headers).get("grpc-status");
}

/** Codes that a peer's bytes may earn: they are wrong, too long, compressed without a word, or not one message. */
const earned = ["3", "8", "12", "13", "invalid_argument", "resource_exhausted", "unimplemented", "internal"];

property(
  "a server answers a mutated body with OK where it is whole and right, else with an error, once",
  30_000,
  async (random) => {
    const kind = pick(random, ...kinds);
    const web = pick(random, "application/grpc-web", "application/grpc-web-text");
    const type = pick(random, "application/grpc", web, kind === "unary" ? web : "application/connect+proto");
    const count = kind === "client" || kind === "bidi" ? 1 + random(3) : 1;
    const plain = joinEnvelopes(Array.from({ length: count }, () => ({ flags: 0, payload: message("a message") })));
    const sent = random(8) === 0 ? plain : mutate(plain, random);
    const body = split(type.endsWith("text") ? Buffer.from(sent.toString("base64")) : sent, random);
    const answer = await drive(handler.handle, { path: pathOf(kind), headers: ["content-type", type], body });
    const told = answer.reset ? "reset" : toldBy(type, answer.body, statusIn(answer));
    const ok = isWhole(sent, kind === "unary" || kind === "server");
    same(told === "0", ok, () => `OK (${told}) for ${kind} ${type} ${quote(sent)}`);
    claim(ok || earned.includes(told), () => `${told} for ${kind} ${type} ${quote(sent)}`);
  },
);

/** True for whole envelopes of readable messages, without flags. */
function isWhole(bytes: Buffer, single: boolean): boolean {
  const { envelopes, whole } = readByTheBook(bytes, 4 * 1024 * 1024);
  if (!whole || (single && envelopes.length !== 1)) return false;
  return envelopes.every(({ flags, payload }) => flags === 0 && decodes(payload));
}

function decodes(payload: Uint8Array): boolean {
  try {
    fromBinary(StringValueSchema, payload);
    return true;
  } catch {
    return false;
  }
}

const wire = (protocol: ProtocolName): WireOptions => ({
  ...{ protocol, codec: "proto", pathPrefix: "", sendCompression: undefined, acceptCompression: ["gzip", "br"] },
  ...{ compressMinBytes: 1_024, maxMessageBytes: 64, useHttpGet: false, types: undefined },
});
const clientMethods = (["grpc", "grpc-web", "connect"] as const).map((name) => ({
  name,
  unary: createClientMethod(Kinds.method.unary, wire(name)),
  server: createClientMethod(Kinds.method.server, wire(name)),
}));

/** How each protocol ends a body well. */
const endings = {
  grpc: Buffer.alloc(0),
  "grpc-web": joinEnvelopes([{ flags: 0x80, payload: Buffer.from("grpc-status: 0\r\n") }]),
  connect: joinEnvelopes([{ flags: 2, payload: Buffer.from("{}") }]),
};

property(
  "a client takes a mutated answer for OK where it is whole and says so, else for an error, once",
  30_000,
  async (random) => {
    const { name, ...methods } = pick(random, ...(clientMethods as [(typeof clientMethods)[0], ...typeof clientMethods])); // there are three
    const kind = name === "connect" ? "server" : pick(random, "unary", "server");
    const plain = Buffer.concat([joinEnvelopes([{ flags: 0, payload: message("a message") }]), endings[name]]);
    const sent = random(8) === 0 ? plain : mutate(plain, random);
    const body = split(sent, random);
    const trailers = name === "grpc" ? (random(3) === 0 ? someTrailers(random) : ["grpc-status", "0"]) : [];
    const headers = ["content-type", `application/${name === "connect" ? "connect+proto" : name}`];
    const error = await callOnce(methods[kind], kind, { status: 200, headers, body, trailers });
    const ok = saysOk(name, kind, { sent, trailers });
    same(
      error === undefined,
      ok,
      () => `OK (${error?.message}) for ${kind} ${name} ${quote(sent)} ${JSON.stringify(trailers)}`,
    );
    claim(error === undefined || error.code in Code, () => `${error?.code} for ${quote(sent)}`);
  },
);

/** Makes a call that gets this response. @returns its error. @throws what is none of ours. */
async function callOnce(method: (typeof clientMethods)[0]["unary"], kind: "unary" | "server", given: DrivenResponse) {
  const input = { connection: answering(() => given), fields: [], signal: undefined, timeoutMs: undefined };
  try {
    if (kind === "unary") await callUnary(method, create(StringValueSchema), input);
    else for await (const _ of (await callStream(method, one(), input)).message);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof ConnectError) return thrown;
    throw new Error(`${String(thrown)} for ${JSON.stringify(given.trailers)}`, { cause: thrown });
  }
}

async function* one() {
  yield {};
}

function saysOk(name: ProtocolName, kind: "unary" | "server", given: { sent: Buffer; trailers: HeaderList }): boolean {
  const { envelopes, whole } = readByTheBook(given.sent, 64);
  const last = name === "grpc" ? undefined : envelopes.at(-1);
  const answered = last === undefined ? envelopes : envelopes.slice(0, -1);
  if (!whole || (kind === "unary" && answered.length !== 1)) return false;
  if (!answered.every(({ flags, payload }) => flags === 0 && decodes(payload))) return false;
  if (name === "grpc") return fieldsOf(given.trailers).get("grpc-status") === "0";
  if (last === undefined || (last.flags & 1) !== 0) return false;
  if (name === "connect") return (last.flags & 2) !== 0 && endsWell(Buffer.from(last.payload));
  const lines = Buffer.from(last.payload).toString("latin1").split("\r\n");
  const found = lines.flatMap((line) => /^\s*grpc-status\s*:(.*)$/is.exec(line)?.[1]?.trim() ?? []);
  return (last.flags & 0x80) !== 0 && found.join(", ") === "0";
}

test("a million cases have been tried", () => {
  expect(tried).toBeGreaterThanOrEqual(1_000_000);
});
