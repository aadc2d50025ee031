import { create } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { isPromise } from "../../core/index.ts";
import type { CodecName } from "../codec.ts";
import type { Compression } from "../compression.ts";
import { compressedFlag, type Envelope, joinEnvelopes, tooLong } from "../envelope.ts";
import type { ServerExchange } from "../exchange.ts";
import { leave } from "../iterators.ts";
import { MessageWriter } from "../message-writer.ts";
import type { MessageInit } from "./invoke.ts";
import type { ServerMethod } from "./method.ts";
import { type Ending, type Response, type ServerProtocol, withUserFields } from "./protocol.ts";
import type { CallScope } from "./scope.ts";

export interface AnswerInit {
  readonly exchange: ServerExchange;
  readonly method: ServerMethod;
  readonly protocol: ServerProtocol;
  readonly codec: CodecName;
  readonly scope: CallScope;
  /** Called once, when the answer is given or cannot be given any more. */
  onOver(error: ConnectError | undefined): void;
}

/** The response side of a call: messages to bytes, in as few writes as may be, and the outcome after them. */
export class Answer implements Response {
  readonly exchange: ServerExchange;
  readonly codec: CodecName;
  /** Set before the first message. */
  compression: Compression | undefined;
  readonly #init: AnswerInit;
  #writer: MessageWriter | undefined;
  #messages: AsyncIterator<MessageInit> | undefined;
  #over = false;

  constructor(init: AnswerInit) {
    this.exchange = init.exchange;
    this.codec = init.codec;
    this.#init = init;
  }

  get encoding(): string | undefined {
    return this.compression?.name;
  }

  get header(): Headers | undefined {
    return this.#init.scope.touchedHeader;
  }

  get trailer(): Headers | undefined {
    return this.#init.scope.touchedTrailer;
  }

  /** True when the answer is given, or cannot be given any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Answers with one message. @throws ConnectError when it cannot be written. */
  one(message: MessageInit): void | Promise<void> {
    if (this.#over) return;
    const envelope = this.#encode(message);
    if (isPromise(envelope)) return envelope.then((each) => this.#endWith(each));
    this.#endWith(envelope);
  }

  /** Answers with messages at the pace of the caller. @throws what the messages throw. */
  async many(messages: AsyncIterable<MessageInit> | Promise<AsyncIterable<MessageInit>>): Promise<void> {
    const iterator = (isPromise(messages) ? await messages : messages)[Symbol.asyncIterator]();
    this.#messages = iterator;
    const writer = new MessageWriter(this.exchange, () => this.#begin());
    this.#writer = writer;
    while (!this.#over) {
      const step = await iterator.next();
      if (step.done === true) return this.end(undefined);
      if (this.#over) break;
      const encoded = this.#encode(step.value);
      const { flags, payload } = isPromise(encoded) ? await encoded : encoded;
      if (!writer.push(flags, payload)) await writer.room();
    }
    leave(iterator);
  }

  /** Ends the answer, with the messages that still wait to be written. */
  end(error: ConnectError | undefined): void {
    if (this.#over) return;
    this.#finish({ rest: this.#writer?.pending === true ? this.#writer.take() : undefined, error });
  }

  /** There is room to write. */
  drained(): void {
    this.#writer?.drained();
  }

  /** The caller has gone. */
  drop(error: ConnectError): void {
    if (this.#over) return;
    this.#over = true;
    this.#release(error);
  }

  #begin(): void {
    if (this.exchange.responded) return;
    const { protocol } = this.#init;
    this.exchange.respond(200, withUserFields(protocol.head(this), this.header), protocol.trailers);
  }

  #encode(partial: MessageInit): Envelope | Promise<Envelope> {
    const { method } = this.#init;
    const { writeMaxBytes, compressMinBytes } = method.bounds;
    const payload = method.output[this.codec].encode(create(method.desc.output, partial));
    if (payload.length > writeMaxBytes) throw tooLong(payload.length, writeMaxBytes);
    const { compression } = this;
    if (compression === undefined || payload.length < compressMinBytes) return { flags: 0, payload };
    return compression.compress(payload).then((compressed) => ({ flags: compressedFlag, payload: compressed }));
  }

  #endWith(envelope: Envelope): void {
    if (this.#over) return;
    if (this.#init.protocol.enveloped) this.#finish({ rest: joinEnvelopes([envelope]), error: undefined });
    else {
      const compressed = envelope.flags === compressedFlag ? this.encoding : undefined;
      this.#finish({ rest: envelope.payload, compressed, error: undefined });
    }
  }

  #finish(ending: Ending): void {
    this.#over = true;
    try {
      this.#init.protocol.end(this, ending);
    } catch {
      this.exchange.reset("internal"); // a field that HTTP does not carry
    }
    this.#release(ending.error);
  }

  #release(error: ConnectError | undefined): void {
    this.#writer?.close();
    if (error !== undefined && this.#messages !== undefined) leave(this.#messages);
    this.#init.onOver(error);
  }
}
