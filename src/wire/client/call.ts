import { Code, ConnectError } from "@connectrpc/connect";
import { cancelled, type Due, deadlineExceeded, timers, wireBounds } from "../../core/index.ts";
import { BodyReader } from "../body.ts";
import { type Compression, compressions } from "../compression.ts";
import { compressedFlag, EnvelopeReader, type EnvelopeSink } from "../envelope.ts";
import {
  type ClientClosed,
  type ClientConnection,
  type ClientExchange,
  type ClientRequest,
  type Fields,
  type ResponseSink,
  resetCodes,
  type Writable,
} from "../exchange.ts";
import { noFields } from "../headers.ts";
import { isPromise } from "../promise.ts";
import { failureOf, mayResend } from "./failures.ts";
import type { ClientMethod } from "./method.ts";
import type { Outcome } from "./protocol.ts";

/** Takes what a call brings. After `end` nothing comes. */
export interface CallReceiver {
  /** The head of the response is there. */
  head(headers: Fields): void;
  message(flags: number, payload: Uint8Array): void;
  /** `local` errors, such as a cancel of the caller's own, go before messages that have come but were not read. */
  end(outcome: Outcome, local: boolean): void;
  /** There is room to write. */
  drained(): void;
}

export interface CallInit {
  readonly method: ClientMethod;
  readonly connection: ClientConnection;
  readonly request: ClientRequest;
  readonly receiver: CallReceiver;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
}

const { maxKeptBytes, maxAttempts, deadlineSlackMs } = wireBounds;

/** One call on the client: the request out, the response in, with its deadline, its cancel, and a second try where it is harmless. */
export class ClientCall implements ResponseSink, EnvelopeSink, Writable {
  readonly #init: CallInit;
  readonly #method: ClientMethod;
  readonly #reader: EnvelopeReader | BodyReader;
  readonly #deadlineMs: number;
  #exchange: ClientExchange | undefined;
  #headers: Fields = noFields;
  #status = 0;
  #kind: "messages" | "error" = "messages";
  #compression: Compression | undefined;
  #end: { flags: number; payload: Uint8Array } | undefined;
  #sawBody = false;
  #over = false;
  #deadline: Due | undefined;
  #unheed: (() => void) | undefined;
  #attempts = 0;
  /** What was sent, for sending it again; undefined once that is out of the question. */
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #sentAll = false;

  constructor(init: CallInit) {
    this.#init = init;
    this.#method = init.method;
    const { maxMessageBytes } = init.method.options;
    this.#deadlineMs = init.timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + init.timeoutMs;
    this.#reader = init.method.protocol.enveloped ? new EnvelopeReader(maxMessageBytes, this) : new BodyReader(maxMessageBytes);
  }

  /** Sends the head. Whatever goes wrong from now on is told to the receiver. */
  start(): void {
    const { signal, timeoutMs } = this.#init;
    if (timeoutMs !== undefined) {
      this.#deadline = timers.schedule(timeoutMs, () =>
        this.fail(deadlineExceeded(`the call took longer than ${timeoutMs} ms`)),
      );
    }
    if (signal !== undefined) this.#heed(signal);
    if (!this.#over) this.#open();
  }

  #heed(signal: AbortSignal): void {
    const abort = () => {
      const reason: unknown = signal.reason;
      this.fail(reason instanceof ConnectError ? reason : cancelled("the call was cancelled"));
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort);
    this.#unheed = () => signal.removeEventListener("abort", abort);
  }

  get over(): boolean {
    return this.#over;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    this.#keep(bytes);
    return this.#exchange?.write(bytes) ?? true;
  }

  /** Sends the last of the request. */
  finish(bytes?: Uint8Array): void {
    if (this.#over) return;
    if (bytes !== undefined) this.#keep(bytes);
    this.#sentAll = true;
    this.#exchange?.end(bytes);
  }

  pause(): void {
    this.#exchange?.pause();
  }

  resume(): void {
    this.#exchange?.resume();
  }

  /** Ends the call from this side. */
  fail(error: ConnectError): void {
    if (this.#over) return;
    this.#settle({ error, trailer: noFields }, true);
    this.#exchange?.reset("cancel");
  }

  /** The bytes of a message, which may take a while when it is compressed. */
  plain(flags: number, payload: Uint8Array): Uint8Array | Promise<Uint8Array> {
    if ((flags & compressedFlag) === 0) return payload;
    if (this.#compression === undefined) {
      throw new ConnectError("a message is compressed, and the headers name no compression", Code.Internal);
    }
    return this.#compression.decompress(payload, this.#method.options.maxMessageBytes).catch(blameServer);
  }

  head(status: number, headers: Fields): void {
    if (this.#over) return;
    this.#kept = undefined;
    this.#status = status;
    this.#headers = headers;
    try {
      this.#compression = this.#announced(headers.get(this.#method.protocol.headers.encoding));
      this.#kind = this.#method.protocol.readHead({ status, headers, codec: this.#method.options.codec });
      this.#init.receiver.head(headers);
    } catch (thrown) {
      this.fail(ConnectError.from(thrown, Code.Internal));
    }
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#sawBody = true;
    try {
      this.#reader.push(bytes);
    } catch (thrown) {
      this.fail(ConnectError.from(thrown, Code.Internal));
    }
  }

  end(trailers: Fields): void {
    if (this.#over) return;
    const reader = this.#reader;
    if (reader instanceof EnvelopeReader) {
      if (reader.incomplete) this.#settle(internal("the response ended in the middle of a message"), false);
      else if (this.#end === undefined) this.#conclude(trailers, undefined, undefined);
      else this.#later(this.#end, (end) => this.#conclude(trailers, end, undefined));
      return;
    }
    const body = { flags: this.#compression === undefined ? 0 : compressedFlag, payload: reader.take() };
    if (this.#kind === "error") this.#later(body, (plain) => this.#conclude(trailers, undefined, plain));
    else {
      this.#init.receiver.message(body.flags, body.payload);
      this.#conclude(trailers, undefined, undefined);
    }
  }

  drained(): void {
    this.#init.receiver.drained();
  }

  closed(closed: ClientClosed): void {
    if (this.#over || closed.how === "done") return; // then its end is being read
    if (mayResend(closed) && this.#kept !== undefined && this.#attempts < (closed.how === "refused" ? 2 : maxAttempts)) {
      this.#open();
      return;
    }
    const dropped = closed.how === "reset" && closed.code === resetCodes.cancel; // how a server ends a call at its deadline
    const late = dropped && performance.now() > this.#deadlineMs - deadlineSlackMs;
    const error = late ? deadlineExceeded("the server ended the call at its deadline") : failureOf(closed);
    this.#settle({ error, trailer: noFields }, false);
  }

  #open(): void {
    this.#attempts++;
    const { connection, request } = this.#init;
    this.#exchange = connection.open(request, this);
    for (const bytes of this.#kept ?? []) this.#exchange.write(bytes);
    if (this.#sentAll) this.#exchange.end();
    if (this.#attempts > 1) this.#init.receiver.drained(); // the exchange that had no room is gone
  }

  #keep(bytes: Uint8Array): void {
    if (this.#kept === undefined) return;
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > maxKeptBytes) this.#kept = undefined;
    else this.#kept.push(bytes);
  }

  #announced(name: string | undefined): Compression | undefined {
    if (name === undefined || name === "identity") return undefined;
    const found = compressions.find((each) => each.name === name);
    if (found !== undefined && this.#method.options.acceptCompression.includes(found.name)) return found;
    throw new ConnectError(`the server compresses with "${name}", which was not offered`, Code.Internal);
  }

  envelope(flags: number, payload: Uint8Array): void {
    const { endFlag } = this.#method.protocol;
    if (this.#end !== undefined) throw new ConnectError("a message came after the end of the stream", Code.Internal);
    if ((flags & endFlag) !== 0) this.#end = { flags, payload };
    else if ((flags & ~compressedFlag) !== 0)
      throw new ConnectError(`a message has the flags 0x${flags.toString(16)}`, Code.Internal);
    else this.#init.receiver.message(flags, payload);
  }

  #later({ flags, payload }: { flags: number; payload: Uint8Array }, go: (plain: Uint8Array) => void): void {
    const failed = (thrown: unknown) =>
      this.#settle({ error: ConnectError.from(thrown, Code.Internal), trailer: noFields }, false);
    try {
      const plain = this.plain(flags, payload);
      if (isPromise(plain)) plain.then(go).catch(failed);
      else go(plain);
    } catch (thrown) {
      failed(thrown);
    }
  }

  #conclude(trailers: Fields, end: Uint8Array | undefined, errorBody: Uint8Array | undefined): void {
    const { protocol, options } = this.#method;
    const head = { status: this.#status, headers: this.#headers, codec: options.codec };
    this.#settle(protocol.readOutcome({ ...head, trailers, end, errorBody, sawBody: this.#sawBody }), false);
  }

  #settle(outcome: Outcome, local: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#deadline?.cancel();
    this.#unheed?.();
    if (!this.#sentAll && !local) this.#exchange?.reset("cancel"); // the answer is whole, the rest of the request is not wanted
    this.#init.receiver.end(outcome, local);
  }
}

function internal(message: string): Outcome {
  return { error: new ConnectError(message, Code.Internal), trailer: noFields };
}

/** What would be a caller's INVALID_ARGUMENT is, in an answer, the server's INTERNAL. */
function blameServer(thrown: unknown): never {
  if (!(thrown instanceof ConnectError) || thrown.code !== Code.InvalidArgument) throw thrown;
  throw new ConnectError(thrown.rawMessage, Code.Internal, undefined, undefined, thrown.cause);
}
