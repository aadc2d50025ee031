import type { Fields, HeaderList, RequestSink, ResetCode, ServerClosed, ServerExchange } from "../exchange.ts";
import { Base64Reader } from "./base64.ts";

/** An exchange whose bodies travel as base64: `grpc-web-text`, for what cannot read bytes. */
export class TextExchange implements ServerExchange {
  readonly #inner: ServerExchange;

  constructor(inner: ServerExchange) {
    this.#inner = inner;
  }

  get httpVersion(): "1.1" | "2" {
    return this.#inner.httpVersion;
  }

  get method(): string {
    return this.#inner.method;
  }

  get path(): string {
    return this.#inner.path;
  }

  get authority(): string {
    return this.#inner.authority;
  }

  get scheme(): "http" | "https" {
    return this.#inner.scheme;
  }

  get peerAddress(): string {
    return this.#inner.peerAddress;
  }

  get peerCertificate(): Uint8Array | undefined {
    return this.#inner.peerCertificate;
  }

  get headers(): Fields {
    return this.#inner.headers;
  }

  get responded(): boolean {
    return this.#inner.responded;
  }

  headerSize(): { pairs: number; bytes: number } {
    return this.#inner.headerSize();
  }

  addHeader(name: string, value: string): void {
    this.#inner.addHeader(name, value);
  }

  accept(sink: RequestSink): void {
    this.#inner.accept(new TextSink(sink));
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  respondWhole(status: number, headers: HeaderList, body?: Uint8Array): void {
    this.#inner.respondWhole(status, headers, encode(body));
  }

  respond(status: number, headers: HeaderList, trailers: boolean): void {
    this.#inner.respond(status, headers, trailers);
  }

  write(bytes: Uint8Array): boolean {
    return this.#inner.write(encode(bytes) ?? bytes);
  }

  end(bytes?: Uint8Array, trailers?: HeaderList): void {
    this.#inner.end(encode(bytes), trailers);
  }

  reset(code: ResetCode): void {
    this.#inner.reset(code);
  }
}

/** Hands on decoded bytes; what is no base64 is the receiver's to answer. */
class TextSink implements RequestSink {
  readonly #inner: RequestSink;
  readonly #reader = new Base64Reader();

  constructor(inner: RequestSink) {
    this.#inner = inner;
  }

  data(bytes: Uint8Array): void {
    const decoded = this.#attempt(() => this.#reader.push(bytes));
    if (decoded !== undefined && decoded.length > 0) this.#inner.data(decoded);
  }

  end(): void {
    this.#attempt(() => this.#reader.end());
    this.#inner.end();
  }

  fail(reason: unknown): void {
    this.#inner.fail(reason);
  }

  drained(): void {
    this.#inner.drained();
  }

  closed(how: ServerClosed): void {
    this.#inner.closed(how);
  }

  #attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (thrown) {
      this.#inner.fail(thrown);
      return undefined;
    }
  }
}

function encode(bytes: Uint8Array | undefined): Buffer | undefined {
  if (bytes === undefined) return undefined;
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64"), "latin1");
}
