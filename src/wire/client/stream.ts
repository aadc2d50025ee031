import { create, type DescMessage, type DescMethodStreaming, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, type StreamResponse } from "@connectrpc/connect";
import { cancelled, isPromise } from "../../core/index.ts";
import type { Fields } from "../exchange.ts";
import { noFields, toHeaders } from "../headers.ts";
import { leave } from "../iterators.ts";
import { MessageQueue } from "../message-queue.ts";
import { MessageWriter } from "../message-writer.ts";
import { type CallReceiver, ClientCall } from "./call.ts";
import type { ClientMethod } from "./method.ts";
import type { Outcome } from "./protocol.ts";
import { encode } from "./request.ts";
import { addMetadata, type CallInput } from "./unary.ts";

type Response = StreamResponse<DescMessage, DescMessage>;
type Messages = AsyncIterable<MessageInitShape<DescMessage>>;

/**
 * Makes a call with any number of messages. Settles with the head of the response; messages go out and come in meanwhile.
 *
 * @throws ConnectError what the call fails with before that.
 */
export function callStream(method: ClientMethod, messages: Messages, input: CallInput): Promise<Response> {
  const { connection, fields, signal, timeoutMs } = input;
  const request = { method: "POST", path: method.path, headers: fields } as const;
  return new Promise((resolve, reject) => {
    const receiver = new StreamReceiver(method, resolve, reject);
    const call = new ClientCall({ method, connection, request, receiver, signal, timeoutMs });
    receiver.start(call, messages);
  });
}

class StreamReceiver implements CallReceiver {
  readonly #method: ClientMethod;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: ConnectError) => void;
  readonly #queue: MessageQueue<Message>;
  #call: ClientCall | undefined;
  #writer: MessageWriter | undefined;
  #outgoing: AsyncIterator<MessageInitShape<DescMessage>> | undefined;
  #result: StreamResult | undefined;
  #headers: Fields = noFields;

  constructor(method: ClientMethod, resolve: (response: Response) => void, reject: (error: ConnectError) => void) {
    this.#method = method;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#queue = new MessageQueue<Message>({
      decode: ({ flags, payload }) => this.#decode(flags, payload),
      pause: () => this.#call?.pause(),
      resume: () => this.#call?.resume(),
      left: () => this.#call?.fail(cancelled("the reader left before the end")),
    });
  }

  start(call: ClientCall, messages: Messages): void {
    this.#call = call;
    call.start();
    void this.#pump(call, messages);
  }

  head(headers: Fields): void {
    this.#headers = headers;
    this.#result = new StreamResult(this.#method, this.#queue, headers);
    this.#resolve(this.#result);
  }

  message(flags: number, payload: Uint8Array): void {
    this.#queue.push(flags, payload);
  }

  drained(): void {
    this.#writer?.drained();
  }

  end({ error, trailer }: Outcome, local: boolean): void {
    this.#writer?.close();
    this.#result?.fillTrailer(trailer);
    if (error !== undefined && !local && trailer !== this.#headers) addMetadata(error, this.#headers.list());
    if (this.#result === undefined) this.#reject(error ?? cancelled("the call ended without a response"));
    if (local) this.#queue.abort(error);
    else this.#queue.end(error === undefined ? undefined : { reason: error });
    if (this.#outgoing !== undefined) leave(this.#outgoing);
  }

  async #pump(call: ClientCall, messages: Messages): Promise<void> {
    try {
      const iterator = messages[Symbol.asyncIterator]();
      this.#outgoing = iterator;
      const writer = new MessageWriter(call, () => {});
      this.#writer = writer;
      while (!call.over) {
        const step = await iterator.next();
        if (step.done === true) {
          this.#outgoing = undefined;
          call.finish(writer.pending ? writer.take() : undefined);
          return;
        }
        const encoded = encode(this.#method, create(this.#method.desc.input, step.value));
        const { flags, payload } = isPromise(encoded) ? await encoded : encoded;
        if (!writer.push(flags, payload)) await writer.room();
      }
    } catch (thrown) {
      if (this.#outgoing !== undefined) leave(this.#outgoing); // its message could not be written, or it has failed itself
      this.#outgoing = undefined;
      call.fail(ConnectError.from(thrown));
    }
  }

  #decode(flags: number, payload: Uint8Array): Message | Promise<Message> {
    const { output } = this.#method;
    try {
      const plain = this.#call?.plain(flags, payload) ?? payload;
      if (!isPromise(plain)) return output.decode(plain);
      return plain.then((bytes) => output.decode(bytes)).catch((thrown: unknown) => this.#undecodable(thrown));
    } catch (thrown) {
      return this.#undecodable(thrown);
    }
  }

  /** A message that cannot be read ends the call. */
  #undecodable(thrown: unknown): never {
    const error = ConnectError.from(thrown);
    this.#call?.fail(error);
    throw error;
  }
}

/** A response whose `Headers` come to be when somebody asks for them. */
class StreamResult implements Response {
  readonly stream = true;
  readonly message: AsyncIterable<Message>;
  readonly #method: ClientMethod;
  readonly #headers: Fields;
  #header: Headers | undefined;
  #trailer: Headers | undefined;
  #trailerFields: Fields = noFields;

  constructor(method: ClientMethod, messages: AsyncIterable<Message>, headers: Fields) {
    this.#method = method;
    this.message = messages;
    this.#headers = headers;
  }

  get service() {
    return this.#method.desc.parent;
  }

  get method() {
    return this.#method.desc as DescMethodStreaming<DescMessage, DescMessage>; // the call was a stream
  }

  get header(): Headers {
    this.#header ??= toHeaders(this.#headers.list());
    return this.#header;
  }

  /** Filled when the last message has been read. */
  get trailer(): Headers {
    this.#trailer ??= toHeaders(this.#trailerFields.list());
    return this.#trailer;
  }

  fillTrailer(fields: Fields): void {
    this.#trailerFields = fields;
    if (this.#trailer === undefined) return;
    for (const [name, value] of toHeaders(fields.list())) this.#trailer.append(name, value);
  }
}
