import { createRegistry, type JsonReadOptions, type JsonWriteOptions, type Registry } from "@bufbuild/protobuf";
import { errorDetails } from "../core/index.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A key that JavaScript objects cannot hold as data: it would be lost without a word. Escaped spellings are the same key. */
const protoKey = /"(?:_|\\u005f){2}proto(?:_|\\u005f){2}"\s*:/i;

/** How messages are read from and written as JSON: `Any` knows the error details and the given types. */
export function createJsonOptions(types: Registry = createRegistry()): Partial<JsonReadOptions & JsonWriteOptions> {
  return { registry: createRegistry(errorDetails, types) };
}

/** @throws Error for bytes that are no UTF-8, and for the key `__proto__`. */
export function decodeJsonText(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (protoKey.test(text)) throw new Error('the key "__proto__" is not allowed');
  return text;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new Error("it is not UTF-8", { cause });
  }
}
