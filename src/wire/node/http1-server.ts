import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders } from "node:http2";
import { type Due, timers } from "../../core/index.ts";
import type { Fields, HeaderList, RequestSink, ServerExchange } from "../exchange.ts";
import { addFields, NodeFields } from "./fields.ts";
import { peerCertificateOf } from "./peer-certificate.ts";

export interface Http1ExchangeInit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** How long a peer may go on sending a request that has been answered. */
  readonly lingerMs: number;
  /** Called once, when nothing of the exchange is left. */
  readonly onClosed: () => void;
}

/** A server's exchange over a request of node:http. */
export class Http1ServerExchange implements ServerExchange {
  readonly httpVersion = "1.1";
  readonly headers: Fields;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #init: Http1ExchangeInit;
  #sink: RequestSink | undefined;
  #added: string[] = [];
  #linger: Due | undefined;

  constructor(init: Http1ExchangeInit) {
    this.#init = init;
    this.#request = init.request;
    this.#response = init.response;
    this.headers = new NodeFields(init.request.headers as IncomingHttpHeaders); // the same shape, without pseudo-headers
    init.request.on("error", () => {}); // the response closes too
    init.response.on("error", () => {}); // and "close" follows
    init.response.on("close", () => this.#closed());
  }

  get method(): string {
    return this.#request.method ?? "";
  }

  get path(): string {
    return this.#request.url ?? "";
  }

  get authority(): string {
    return this.headers.get("host") ?? "";
  }

  get scheme(): "http" | "https" {
    return "encrypted" in this.#request.socket ? "https" : "http";
  }

  get peerAddress(): string {
    return this.#request.socket.remoteAddress ?? "";
  }

  get peerCertificate(): Uint8Array | undefined {
    return peerCertificateOf(this.#request.socket);
  }

  get responded(): boolean {
    return this.#response.headersSent;
  }

  headerSize(): { pairs: number; bytes: number } {
    const { rawHeaders } = this.#request;
    return { pairs: rawHeaders.length / 2, bytes: rawHeaders.reduce((sum, text) => sum + text.length, 0) };
  }

  addHeader(name: string, value: string): void {
    this.#added.push(name, value);
  }

  accept(sink: RequestSink): void {
    this.#sink = sink;
    this.#request.on("data", (bytes: Buffer) => sink.data(bytes));
    this.#request.on("end", () => {
      this.#linger?.cancel();
      sink.end();
    });
  }

  pause(): void {
    this.#request.pause();
  }

  resume(): void {
    this.#request.resume();
  }

  respondWhole(status: number, headers: HeaderList, body?: Uint8Array): void {
    if (this.#isGone) return;
    const length = String(body?.length ?? 0);
    const known = status === 204 || headers.includes("content-length");
    this.#writeHead(status, known ? headers : [...headers, "content-length", length]);
    this.#response.end(body);
    this.#afterEnd();
  }

  respond(status: number, headers: HeaderList, _trailers: boolean): void {
    if (!this.#isGone) this.#writeHead(status, headers);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isGone) return true;
    const room = this.#response.write(bytes);
    if (!room && this.#response.listenerCount("drain") === 0) this.#response.on("drain", () => this.#sink?.drained());
    return room;
  }

  end(bytes?: Uint8Array, trailers?: HeaderList): void {
    if (this.#isGone) return;
    if (trailers !== undefined) this.#response.addTrailers(addFields({}, trailers) as Record<string, string>); // or arrays of them, which Node takes
    this.#response.end(bytes);
    this.#afterEnd();
  }

  reset(): void {
    this.#request.destroy();
  }

  get #isGone(): boolean {
    return this.#response.destroyed;
  }

  #writeHead(status: number, headers: HeaderList): void {
    this.#response.writeHead(status, addFields({}, [...headers, ...this.#added]));
  }

  /** The rest of a request that was answered early is dropped, so that the connection can be used again; a peer that never ends is cut off. */
  #afterEnd(): void {
    if (this.#request.complete) return;
    this.#request.resume();
    this.#linger = timers.schedule(this.#init.lingerMs, () => this.#request.destroy());
    this.#request.once("close", () => this.#linger?.cancel());
  }

  #closed(): void {
    this.#sink?.closed(this.#response.writableFinished ? "done" : "lost");
    this.#init.onClosed();
  }
}
