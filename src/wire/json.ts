import { createRegistry, type JsonReadOptions, type JsonWriteOptions, type Registry } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorDetails } from "../core/index.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A key that JavaScript objects cannot hold as data: it would be lost without a word. Escaped spellings are the same key. */
const protoKey = /"(?:_|\\u005f){2}proto(?:_|\\u005f){2}"\s*:/i;

const textDecoder = {
  decode(bytes: Uint8Array): string {
    const text = decodeUtf8(bytes);
    if (protoKey.test(text)) throw new ConnectError('the key "__proto__" is not allowed', Code.InvalidArgument);
    return text;
  },
};

/** How messages are read from and written as JSON: strict UTF-8, no `__proto__`, error details with their types. */
export function createJsonOptions(types: Registry = createRegistry()): Partial<JsonReadOptions & JsonWriteOptions> {
  return {
    registry: createRegistry(errorDetails, types),
    ...({ textDecoder } as object), // Connect reads this option too, though its type does not say so
  };
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new ConnectError("the message is not UTF-8", Code.InvalidArgument, undefined, undefined, cause);
  }
}
