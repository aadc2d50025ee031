import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { cancelled, type Due, deadlineExceeded, isPromise, timers, wireBounds } from "../../core/index.ts";
import { BodyReader } from "../body.ts";
import type { CodecName } from "../codec.ts";
import { type Compression, findCompression, firstAccepted } from "../compression.ts";
import { compressedFlag, cutShort, EnvelopeReader, type EnvelopeSink } from "../envelope.ts";
import type { RequestSink, ServerClosed, ServerExchange } from "../exchange.ts";
import { MessageQueue } from "../message-queue.ts";
import { Answer, type AnswerInit } from "./answer.ts";
import type { ContentType } from "./content-type.ts";
import { type Input, invoke, type MessageInit, typedError } from "./invoke.ts";
import { connectionLost } from "./lost.ts";
import type { RequestGate, ServedCall, ServerMethod } from "./method.ts";
import type { ServerProtocol } from "./protocol.ts";
import { CallScope } from "./scope.ts";

/** One call on the server: request bytes in, handler, and the {@link Answer} out. */
export class ServerCall implements RequestSink, EnvelopeSink, AnswerInit, ServedCall {
  readonly exchange: ServerExchange;
  readonly method: ServerMethod;
  readonly protocol: ServerProtocol;
  readonly codec: CodecName;
  readonly scope: CallScope;
  readonly startMs = performance.now();
  readonly #answer: Answer;
  readonly #reader: EnvelopeReader | BodyReader;
  #decompress: Compression | undefined;
  #only: { flags: number; payload: Uint8Array } | undefined;
  #queue: MessageQueue<Message> | undefined;
  #deadline: Due | undefined;
  #patience: Due | undefined;
  #accepted = false;
  #requestEnded = false;
  /** The answer, while it waits for the request to end. */
  #held: ConnectError | undefined;

  constructor(exchange: ServerExchange, method: ServerMethod, { protocol, codec }: ContentType) {
    this.exchange = exchange;
    this.method = method;
    this.protocol = protocol;
    this.codec = codec;
    this.scope = new CallScope(exchange, method, protocol.name);
    this.#answer = new Answer(this);
    const { readMaxBytes } = method.bounds;
    this.#reader = protocol.enveloped ? new EnvelopeReader(readMaxBytes, this) : new BodyReader(readMaxBytes);
  }

  /** Reads the headers, asks the gate, and lets the body come. */
  start(): void {
    if (!this.#open(this.exchange.headers.get(this.protocol.headers.encoding))) return;
    if (this.method.gate === undefined) this.#begin();
    else void this.#pass(this.method.gate, () => this.#begin());
  }

  /** Starts a call whose message came with the headers (Connect GET). */
  startWith(message: Uint8Array, encoding: string | undefined): void {
    this.#accept();
    this.#requestEnded = true;
    if (!this.#open(encoding)) return;
    this.#only = { flags: this.#decompress === undefined ? 0 : compressedFlag, payload: message };
    if (this.method.gate === undefined) this.#invokeSingle();
    else void this.#pass(this.method.gate, () => this.#invokeSingle());
  }

  #begin(): void {
    if (this.method.single) this.method.hooks.watch.add(this);
    else this.#invokeMany();
    this.#accept();
  }

  /** The one request message has not come in time. */
  overdue(timeoutMs: number): void {
    this.#answer.end(deadlineExceeded(`the request message did not arrive within ${timeoutMs} ms`));
  }

  /** Ends the call with an error of the server's own, after a moment in which the handler can answer the signal. */
  abort(reason: ConnectError): void {
    this.scope.abort(reason);
    setImmediate(() => this.#answer.end(reason));
  }

  /** Ends the call with what was thrown. While its one message is still on the way, the answer waits a moment for it. */
  fail(thrown: unknown): void {
    if (this.#answer.over || this.#held !== undefined) return;
    const error = typedError(this.scope, thrown);
    this.scope.abort(error);
    if (this.#requestEnded || !this.method.single) this.#answer.end(error);
    else this.#hold(error);
  }

  #hold(error: ConnectError): void {
    this.#held = error;
    this.#accept();
    this.#patience?.cancel();
    this.#patience = timers.schedule(wireBounds.refusalPatienceMs, () => this.#answer.end(error));
  }

  data(bytes: Uint8Array): void {
    if (this.#answer.over || this.#held !== undefined) return;
    try {
      this.#reader.push(bytes);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  end(): void {
    if (this.#requestEnded) return;
    this.#requestEnded = true;
    if (this.#held !== undefined) this.#answer.end(this.#held);
    if (this.#answer.over) return;
    const reader = this.#reader;
    if (reader instanceof BodyReader) this.#only = { flags: this.#decompress ? compressedFlag : 0, payload: reader.take() };
    const whole = reader instanceof BodyReader || !reader.incomplete;
    if (!this.method.single) this.#queue?.end(whole ? undefined : { reason: cutShort() });
    else if (whole) this.#invokeSingle();
    else this.fail(cutShort());
  }

  drained(): void {
    this.#answer.drained();
  }

  closed(how: ServerClosed): void {
    this.#requestEnded = true;
    if (this.#answer.over) return;
    const left = how === "lost" ? connectionLost() : cancelled("the caller cancelled the call");
    this.scope.abort(left);
    this.#answer.drop(left);
  }

  /** The answer is given, or cannot be given any more. */
  onOver(error: ConnectError | undefined): void {
    this.#deadline?.cancel();
    this.#patience?.cancel();
    this.method.hooks.watch.remove(this);
    this.#queue?.abort(error ?? cancelled("the call has ended"));
    this.scope.abort(error);
    this.method.hooks.onEnd(this, error);
  }

  #accept(): void {
    if (this.#accepted) return;
    this.#accepted = true;
    this.exchange.accept(this);
  }

  /** False when the headers alone end the call. */
  #open(encoding: string | undefined): boolean {
    const { headers } = this.exchange;
    const { protocol } = this;
    try {
      const timeout = headers.get(protocol.headers.timeout);
      if (timeout !== undefined) this.#limit(protocol.parseTimeout(timeout));
      this.#decompress = findCompression(encoding);
      const accepted = protocol.symmetricCompression ? undefined : headers.get(protocol.headers.acceptEncoding);
      this.#answer.compression = accepted === undefined ? this.#decompress : firstAccepted(accepted);
      return true;
    } catch (thrown) {
      this.fail(thrown);
      return false;
    }
  }

  #limit(timeoutMs: number): void {
    const { maxTimeoutMs } = this.method.bounds;
    if (timeoutMs > maxTimeoutMs) {
      throw new ConnectError(`the timeout is ${timeoutMs} ms; at most ${maxTimeoutMs} ms are allowed`, Code.InvalidArgument);
    }
    this.scope.setTimeout(timeoutMs);
    const late = () => this.abort(deadlineExceeded(`the call took longer than its ${Math.round(timeoutMs)} ms`));
    this.#deadline = timers.schedule(timeoutMs, late);
  }

  async #pass(gate: RequestGate, go: () => void): Promise<void> {
    try {
      await gate(this.scope);
      if (!this.#answer.over) go();
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  envelope(flags: number, payload: Uint8Array): void {
    if ((flags & ~compressedFlag) !== 0) {
      throw new ConnectError(`a message has the flags 0x${flags.toString(16)}, which no request has`, Code.InvalidArgument);
    }
    if (!this.method.single) this.#queue?.push(flags, payload);
    else if (this.#only === undefined) this.#only = { flags, payload };
    else throw new ConnectError("the call takes one message, and there came another", Code.Unimplemented);
  }

  #decode(flags: number, payload: Uint8Array): Message | Promise<Message> {
    const codec = this.method.input[this.codec];
    if ((flags & compressedFlag) === 0) return codec.decode(payload);
    if (this.#decompress === undefined) {
      throw new ConnectError("a message is compressed, and the headers name no compression", Code.Internal);
    }
    return this.#decompress.decompress(payload, this.method.bounds.readMaxBytes).then((bytes) => codec.decode(bytes));
  }

  #invokeSingle(): void {
    this.method.hooks.watch.remove(this);
    const only = this.#only;
    this.#only = undefined;
    try {
      if (only === undefined) throw new ConnectError("the call needs a message", Code.Unimplemented);
      const message = this.#decode(only.flags, only.payload);
      if (isPromise(message)) void this.#runLater(message);
      else this.#run({ message });
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  async #runLater(decoding: Promise<Message>): Promise<void> {
    try {
      this.#run({ message: await decoding });
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #invokeMany(): void {
    this.#queue = new MessageQueue<Message>({
      decode: ({ flags, payload }) => this.#decode(flags, payload),
      pause: () => this.exchange.pause(),
      resume: () => this.exchange.resume(),
    });
    this.#run({ messages: this.#queue });
  }

  #run(input: Input): void {
    if (this.#answer.over) return;
    try {
      const output = invoke(this.method, this.scope, input);
      if ("many" in output) this.#settle(this.#answer.many(output.many));
      else if (!isPromise(output.one)) this.#give(output.one);
      else
        output.one.then(
          (message) => this.#give(message),
          (thrown: unknown) => this.fail(thrown),
        );
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #give(message: MessageInit): void {
    try {
      this.#settle(this.#answer.one(message));
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #settle(answering: Promise<void> | undefined | void): void {
    answering?.catch((thrown: unknown) => this.fail(thrown));
  }
}
