import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants, gunzip, gzip } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { wireBounds } from "../core/index.ts";
import { tooLong } from "./envelope.ts";

/** A compression by its name in `grpc-encoding`, `content-encoding` and their like. */
export interface Compression {
  readonly name: CompressionName;
  compress(bytes: Uint8Array): Promise<Uint8Array>;
  /** @throws ConnectError RESOURCE_EXHAUSTED over `maxBytes` of output, INVALID_ARGUMENT for what is no such data. */
  decompress(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array>;
}

export type CompressionName = "gzip" | "br";

/** Brotli's default, 11, takes a hundred times as long for a few percent. */
const brotliQuality = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

type Codec = (bytes: Uint8Array, options: object) => Promise<Uint8Array>;

const gzipAsync: Codec = promisify<Uint8Array, object, Buffer>(gzip);
const gunzipAsync: Codec = promisify<Uint8Array, object, Buffer>(gunzip);
const brotliAsync: Codec = promisify<Uint8Array, object, Buffer>(brotliCompress);
const unbrotliAsync: Codec = promisify<Uint8Array, object, Buffer>(brotliDecompress);

/** The compressions that both sides take, the preferred one first. */
export const compressions: readonly Compression[] = [
  { name: "gzip", compress: (bytes) => gzipAsync(bytes, {}), decompress: bounded("gzip", gunzipAsync) },
  { name: "br", compress: (bytes) => brotliAsync(bytes, brotliQuality), decompress: bounded("br", unbrotliAsync) },
];

/** Their names, as a list in a header. */
export const acceptedEncodings = compressions.map(({ name }) => name).join(",");

/** The compression of that name; undefined for `identity` or none. @throws ConnectError UNIMPLEMENTED for another name. */
export function findCompression(name: string | undefined): Compression | undefined {
  if (name === undefined || name === "" || name === "identity") return undefined;
  const found = compressions.find((each) => each.name === name);
  if (found !== undefined) return found;
  const message = `compression "${name}" is not known here; use one of identity,${acceptedEncodings}`;
  throw new ConnectError(message, Code.Unimplemented);
}

const acceptedBy = new Map<string, Compression | undefined>();

/** The first compression of a list such as `gzip, br;q=0.5` that is known here. One with `q=0` is refused (RFC 9110, section 12.4.2). */
export function firstAccepted(list: string): Compression | undefined {
  let found = acceptedBy.get(list);
  if (found === undefined && !acceptedBy.has(list)) {
    found = readAccepted(list);
    if (acceptedBy.size < wireBounds.maxCachedHeaders) acceptedBy.set(list, found);
  }
  return found;
}

function readAccepted(list: string): Compression | undefined {
  for (const item of list.split(",")) {
    const [name, ...parameters] = item.split(";").map((part) => part.trim());
    const found = compressions.find((each) => each.name === name);
    if (found !== undefined && !parameters.some((each) => /^q=0(?:\.0*)?$/i.test(each))) return found;
  }
  return undefined;
}

/** Decompression stops at the bound, so that a small message cannot fill the memory. */
function bounded(name: CompressionName, decompress: Codec): Compression["decompress"] {
  return async (bytes, maxBytes) => {
    if (bytes.length === 0) return bytes;
    try {
      return await decompress(bytes, { maxOutputLength: Math.max(1, maxBytes) });
    } catch (thrown) {
      throw isTooLarge(thrown)
        ? tooLong(undefined, maxBytes)
        : new ConnectError(`the message is no ${name}`, Code.InvalidArgument, undefined, undefined, thrown);
    }
  };
}

function isTooLarge(thrown: unknown): boolean {
  return typeof thrown === "object" && thrown !== null && "code" in thrown && thrown.code === "ERR_BUFFER_TOO_LARGE";
}
