import type { Envelope } from "../../src/wire/envelope.ts";

/** What a body holds, read at leisure in one piece: the tests' own idea of the format. */
export function readByTheBook(bytes: Buffer, maxBytes: number) {
  const envelopes: Envelope[] = [];
  let at = 0;
  while (bytes.length - at >= 5) {
    const length = bytes.readUInt32BE(at + 1);
    if (length > maxBytes) return { envelopes, tooLong: true, whole: false };
    if (bytes.length - at - 5 < length) break;
    envelopes.push({ flags: bytes.readUInt8(at), payload: bytes.subarray(at + 5, at + 5 + length) });
    at += 5 + length;
  }
  return { envelopes, tooLong: false, whole: at === bytes.length };
}

/** The bytes of base64 text, a group of four characters at a time; undefined from the first group on that is none. */
export function decodeByTheBook(text: string): { decoded: Buffer; valid: boolean } {
  const groups = text.match(/[\s\S]{1,4}/g) ?? [];
  const wrong = groups.findIndex((group) => !/^[A-Za-z0-9+/]{2}(?:==|[A-Za-z0-9+/](?:=|[A-Za-z0-9+/]))$/.test(group));
  const good = wrong < 0 ? groups : groups.slice(0, wrong);
  return { decoded: Buffer.concat(good.map((group) => Buffer.from(group, "base64"))), valid: wrong < 0 };
}

/**
 * The outcome that an answer tells: a gRPC status, a Connect code, `0` for OK in either, or `nothing`.
 *
 * @param status the `grpc-status` among its headers or trailers.
 */
export function toldBy(type: string, body: Buffer, status: string | undefined): string {
  if (type.startsWith("application/connect")) return endOf(body);
  if (status !== undefined || !type.includes("web")) return status ?? "nothing";
  const plain = type.includes("text") ? decodeByTheBook(body.toString("latin1")).decoded : body;
  const last = readByTheBook(plain, plain.length).envelopes.at(-1);
  if (last?.flags !== 0x80) return "nothing";
  return /^grpc-status: (\d+)\r$/m.exec(Buffer.from(last.payload).toString("latin1"))?.[1] ?? "nothing";
}

function endOf(body: Buffer): string {
  const last = readByTheBook(body, body.length).envelopes.at(-1);
  if (last?.flags !== 2) return "nothing";
  const { error } = JSON.parse(Buffer.from(last.payload).toString()) as { error?: { code: string } }; // as the protocol says
  return error?.code ?? "0";
}
