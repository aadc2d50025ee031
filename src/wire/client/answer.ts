import { Code, ConnectError } from "@connectrpc/connect";
import { isPromise } from "../../core/index.ts";
import { BodyReader } from "../body.ts";
import { type Compression, compressions } from "../compression.ts";
import { compressedFlag, EnvelopeReader, type EnvelopeSink } from "../envelope.ts";
import type { Fields } from "../exchange.ts";
import { noFields } from "../headers.ts";
import { withoutOutcome } from "./failures.ts";
import type { ClientMethod } from "./method.ts";
import type { Outcome } from "./protocol.ts";

/** Takes the messages of an answer as they lie on the wire. */
export interface AnswerSink {
  message(flags: number, payload: Uint8Array): void;
}

/** What one attempt is answered: the head, the messages, the outcome. Its methods throw the ConnectError of an answer that is none. */
export class Answer implements EnvelopeSink {
  readonly #method: ClientMethod;
  readonly #sink: AnswerSink;
  readonly #reader: EnvelopeReader | BodyReader;
  #headers: Fields = noFields;
  #status = 0;
  #kind: "messages" | "error" = "messages";
  #compression: Compression | undefined;
  #end: { flags: number; payload: Uint8Array } | undefined;
  #sawBody = false;

  constructor(method: ClientMethod, sink: AnswerSink) {
    const { maxMessageBytes } = method.options;
    this.#method = method;
    this.#sink = sink;
    this.#reader = method.protocol.enveloped ? new EnvelopeReader(maxMessageBytes, this) : new BodyReader(maxMessageBytes);
  }

  /** The head has come. */
  get began(): boolean {
    return this.#status !== 0;
  }

  get headers(): Fields {
    return this.#headers;
  }

  head(status: number, headers: Fields): void {
    this.#status = status;
    this.#headers = headers;
    this.#compression = this.#announced(headers.get(this.#method.protocol.headers.encoding));
    this.#kind = this.#method.protocol.readHead({ status, headers, codec: this.#method.options.codec });
  }

  data(bytes: Uint8Array): void {
    this.#sawBody = true;
    this.#reader.push(bytes);
  }

  envelope(flags: number, payload: Uint8Array): void {
    const { endFlag } = this.#method.protocol;
    if (this.#end !== undefined) throw new ConnectError("a message came after the end of the stream", Code.Internal);
    if ((flags & endFlag) !== 0) this.#end = { flags, payload };
    else if ((flags & ~compressedFlag) !== 0)
      throw new ConnectError(`a message has the flags 0x${flags.toString(16)}`, Code.Internal);
    else this.#sink.message(flags, payload);
  }

  /** The answer is whole: how the call came out. It takes a while when that is told in compressed bytes. */
  end(trailers: Fields): Outcome | Promise<Outcome> {
    const reader = this.#reader;
    if (reader instanceof EnvelopeReader) {
      if (reader.incomplete) throw withoutOutcome("the response ended in the middle of a message");
      if (this.#end === undefined) return this.#conclude(trailers, undefined, undefined);
      const end = this.plain(this.#end.flags, this.#end.payload);
      return isPromise(end)
        ? end.then((bytes) => this.#conclude(trailers, bytes, undefined))
        : this.#conclude(trailers, end, undefined);
    }
    const flags = this.#compression === undefined ? 0 : compressedFlag;
    const payload = reader.take();
    if (this.#kind === "messages") {
      this.#sink.message(flags, payload);
      return this.#conclude(trailers, undefined, undefined);
    }
    const body = this.plain(flags, payload);
    return isPromise(body)
      ? body.then((bytes) => this.#conclude(trailers, undefined, bytes))
      : this.#conclude(trailers, undefined, body);
  }

  /** The bytes of a message, which may take a while when it is compressed. */
  plain(flags: number, payload: Uint8Array): Uint8Array | Promise<Uint8Array> {
    if ((flags & compressedFlag) === 0) return payload;
    if (this.#compression === undefined) {
      throw new ConnectError("a message is compressed, and the headers name no compression", Code.Internal);
    }
    return this.#compression.decompress(payload, this.#method.options.maxMessageBytes).catch(blameServer);
  }

  #announced(name: string | undefined): Compression | undefined {
    if (name === undefined || name === "identity") return undefined;
    const found = compressions.find((each) => each.name === name);
    if (found !== undefined && this.#method.options.acceptCompression.includes(found.name)) return found;
    throw new ConnectError(`the server compresses with "${name}", which was not offered`, Code.Internal);
  }

  #conclude(trailers: Fields, end: Uint8Array | undefined, errorBody: Uint8Array | undefined): Outcome {
    const { protocol, options } = this.#method;
    const head = { status: this.#status, headers: this.#headers, codec: options.codec };
    return protocol.readOutcome({ ...head, trailers, end, errorBody, sawBody: this.#sawBody });
  }
}

/** What would be a caller's INVALID_ARGUMENT is, in an answer, the server's INTERNAL. */
function blameServer(thrown: unknown): never {
  if (!(thrown instanceof ConnectError) || thrown.code !== Code.InvalidArgument) throw thrown;
  throw new ConnectError(thrown.rawMessage, Code.Internal, undefined, undefined, thrown.cause);
}
