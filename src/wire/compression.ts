import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, gunzip, gzip } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";

type Codec = (bytes: Uint8Array, options: { maxOutputLength?: number }) => Promise<Buffer>;

/** Compressions that both sides take, by their name in `grpc-encoding` and `content-encoding`. */
export const compressions: Compression[] = [
  createCompression("gzip", promisify<Uint8Array, object, Buffer>(gzip), promisify<Uint8Array, object, Buffer>(gunzip)),
  createCompression(
    "br",
    promisify<Uint8Array, object, Buffer>(brotliCompress),
    promisify<Uint8Array, object, Buffer>(brotliDecompress),
  ),
];

/** Decompression stops at the bound, so that a small message cannot fill the memory. */
function createCompression(name: string, compress: Codec, decompress: Codec): Compression {
  return {
    name,
    compress: async (bytes) => plain(await compress(bytes, {})),
    async decompress(bytes, readMaxBytes) {
      if (bytes.length === 0) return new Uint8Array(0);
      try {
        return plain(await decompress(bytes, { maxOutputLength: readMaxBytes }));
      } catch (thrown) {
        throw tooLarge(thrown)
          ? new ConnectError(`the message has over ${readMaxBytes} bytes after decompression`, Code.ResourceExhausted)
          : new ConnectError(`the message is no ${name}`, Code.InvalidArgument, undefined, undefined, thrown);
      }
    },
  };
}

/** Connect wants an array on an ArrayBuffer, which zlib's results are. */
function plain(buffer: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.byteLength); // zlib shares no memory
}

function tooLarge(thrown: unknown): boolean {
  return typeof thrown === "object" && thrown !== null && "code" in thrown && thrown.code === "ERR_BUFFER_TOO_LARGE";
}
