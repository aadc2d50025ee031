import {
  type BinaryReadOptions,
  type BinaryWriteOptions,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type JsonReadOptions,
  type JsonWriteOptions,
  type Message,
  type MessageShape,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { decodeJsonText } from "./json.ts";
import { writeMessage } from "./protobuf/write.ts";

/** How messages are written as bytes. */
export type CodecName = "proto" | "json";

export interface CodecOptions {
  readonly json: Partial<JsonReadOptions & JsonWriteOptions>;
  readonly binary?: Partial<BinaryReadOptions & BinaryWriteOptions> | undefined;
  /** The code of the error for bytes that are no message: whoever sent them is at fault. */
  readonly decodeFailure: Code;
}

/** Bytes to messages of one type and back. */
export interface Codec<Desc extends DescMessage = DescMessage> {
  /** @throws ConnectError with `decodeFailure`. */
  decode(bytes: Uint8Array): MessageShape<Desc>;
  /** @throws ConnectError INTERNAL for a message that its type does not allow. */
  encode(message: MessageShape<Desc>): Uint8Array;
}

const factories = { proto: createProtoCodec, json: createJsonCodec };

export function createCodec<Desc extends DescMessage>(name: CodecName, desc: Desc, options: CodecOptions): Codec<Desc> {
  return factories[name](desc, options);
}

/**
 * Where a message has its binary form, with the message that it is of: a copy by spread is another one. A WeakMap would say the same, and take as
 * long for one small message as six of them do to be written.
 */
const binaryForm = Symbol("binary form");

interface FormCarrier {
  [binaryForm]?: { readonly of: object; readonly bytes: Uint8Array };
}

/**
 * Hands the wire a message together with its binary form, for who has that at hand: it is sent as it is, and changes to the message after this
 * are not. Read as an object, and written as JSON, the message speaks for itself.
 */
export function withBinaryForm<M extends Message>(message: M, form: Uint8Array): M {
  (message as FormCarrier)[binaryForm] = { of: message, bytes: form }; // no type of messages has it
  return message;
}

function createProtoCodec<Desc extends DescMessage>(desc: Desc, { binary, decodeFailure }: CodecOptions): Codec<Desc> {
  return {
    decode(bytes) {
      try {
        return fromBinary(desc, bytes, binary);
      } catch (thrown) {
        throw failure(`the message is no ${desc.typeName}`, decodeFailure, thrown);
      }
    },
    encode(message) {
      const form = (message as FormCarrier)[binaryForm]; // no type of messages has it
      if (form?.of === message) return form.bytes;
      try {
        return writeMessage(desc, message, binary);
      } catch (thrown) {
        throw failure(`a ${desc.typeName} cannot be written`, Code.Internal, thrown);
      }
    },
  };
}

function createJsonCodec<Desc extends DescMessage>(desc: Desc, { json, decodeFailure }: CodecOptions): Codec<Desc> {
  return {
    decode(bytes) {
      try {
        return fromJsonString(desc, decodeJsonText(bytes), { ignoreUnknownFields: true, ...json });
      } catch (thrown) {
        throw failure(`the message is no JSON of ${desc.typeName}`, decodeFailure, thrown);
      }
    },
    encode(message) {
      try {
        return Buffer.from(toJsonString(desc, message, json));
      } catch (thrown) {
        throw failure(`a ${desc.typeName} cannot be written as JSON`, Code.Internal, thrown);
      }
    },
  };
}

/** protobuf-es says what was wrong in words about the message alone, so they may leave. */
function failure(message: string, code: Code, cause: unknown): ConnectError {
  const reason = cause instanceof Error ? `: ${cause instanceof ConnectError ? cause.rawMessage : cause.message}` : "";
  return new ConnectError(message + reason, code, undefined, undefined, cause);
}
