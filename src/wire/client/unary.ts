import type { DescMessage, DescMethodUnary, Message, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import { isPromise } from "../../core/index.ts";
import type { Envelope } from "../envelope.ts";
import type { Fields, HeaderList } from "../exchange.ts";
import { noFields, toHeaders } from "../headers.ts";
import { type CallReceiver, ClientCall } from "./call.ts";
import type { ClientMethod } from "./method.ts";
import type { Outcome } from "./protocol.ts";
import { encode, unaryRequest } from "./request.ts";
import type { Route } from "./route.ts";

/** What one call is made of. */
export interface CallInput {
  readonly connection: Route;
  readonly fields: HeaderList;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
}

type Response = UnaryResponse<DescMessage, DescMessage>;

/** Makes a unary call. @throws ConnectError what the call fails with. */
export function callUnary(method: ClientMethod, message: Message, input: CallInput): Promise<Response> {
  return new Promise((resolve, reject) => {
    const envelope = encode(method, message);
    const send = (each: Envelope) => new UnaryReceiver(method, resolve, reject).send(each, input);
    if (isPromise(envelope)) envelope.then(send).catch(reject);
    else send(envelope);
  });
}

class UnaryReceiver implements CallReceiver {
  #call: ClientCall | undefined;
  readonly #method: ClientMethod;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: ConnectError) => void;
  #headers: Fields = noFields;
  #first: { flags: number; payload: Uint8Array } | undefined;
  #count = 0;

  constructor(method: ClientMethod, resolve: (response: Response) => void, reject: (error: ConnectError) => void) {
    this.#method = method;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  send(envelope: Envelope, { connection, fields, signal, timeoutMs }: CallInput): void {
    const method = this.#method;
    const [request, body] = unaryRequest(method, fields, envelope);
    const call = new ClientCall({ method, connection, request, receiver: this, signal, timeoutMs });
    this.#call = call;
    call.start();
    call.finish(body);
  }

  head(headers: Fields): void {
    this.#headers = headers;
  }

  message(flags: number, payload: Uint8Array): void {
    if (this.#count++ === 0) this.#first = { flags, payload };
  }

  drained(): void {}

  end({ error, trailer }: Outcome, local: boolean): void {
    if (error !== undefined) {
      if (!local && trailer !== this.#headers) addMetadata(error, this.#method.protocol.headerList(this.#headers));
      this.#reject(error);
      return;
    }
    void this.#finish(trailer);
  }

  #finish(trailer: Fields): void | Promise<void> {
    try {
      const first = this.#first;
      if (first === undefined || this.#count > 1) {
        throw new ConnectError(`the server answered with ${this.#count} messages instead of one`, Code.Unimplemented);
      }
      const plain = this.#call?.plain(first.flags, first.payload) ?? first.payload;
      if (isPromise(plain)) return plain.then((bytes) => this.#decode(bytes, trailer)).catch((thrown) => this.#reject(thrown));
      this.#decode(plain, trailer);
    } catch (thrown) {
      this.#reject(ConnectError.from(thrown));
    }
  }

  #decode(bytes: Uint8Array, trailer: Fields): void {
    const message = this.#method.output.decode(bytes);
    this.#resolve(new UnaryResult(this.#method, message, { headers: this.#headers, trailer }));
  }
}

/** Adds the response's headers to what an error tells, as Connect's own transports do. */
export function addMetadata(error: ConnectError, headers: HeaderList): void {
  for (const [name, value] of toHeaders(headers)) error.metadata.append(name, value);
}

/** A response whose `Headers` come to be when somebody asks for them. */
class UnaryResult implements Response {
  readonly stream = false;
  readonly message: MessageShape<DescMessage>;
  readonly #method: ClientMethod;
  readonly #fields: { readonly headers: Fields; readonly trailer: Fields };
  #header: Headers | undefined;
  #trailer: Headers | undefined;

  constructor(method: ClientMethod, message: MessageShape<DescMessage>, fields: { headers: Fields; trailer: Fields }) {
    this.#method = method;
    this.message = message;
    this.#fields = fields;
  }

  get service() {
    return this.#method.desc.parent;
  }

  get method() {
    return this.#method.desc as DescMethodUnary<DescMessage, DescMessage>; // the call was unary
  }

  get header(): Headers {
    this.#header ??= toHeaders(this.#method.protocol.headerList(this.#fields.headers));
    return this.#header;
  }

  get trailer(): Headers {
    this.#trailer ??= toHeaders(this.#fields.trailer.list());
    return this.#trailer;
  }
}
