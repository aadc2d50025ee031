import {
  type ClientClosed,
  type ClientExchange,
  type ClientRequest,
  type Fields,
  type HeaderList,
  type ResetCode,
  type ResponseSink,
  resetCodes,
} from "../exchange.ts";
import { noFields } from "../headers.ts";
import { errorCodes, StreamError } from "./frames.ts";
import type { HeadBlock } from "./heads.ts";
import { malformed, readResponseHead, readTrailers } from "./heads.ts";
import { type Cut, Stream, type StreamHost } from "./stream.ts";

/** What a client's stream needs of its connection. */
export interface ClientHost extends StreamHost {
  /** The pseudo-header fields of a request. */
  pseudo(method: string, path: string): HeaderList;
  /** What a call is told of its end. */
  closedBy(cut: Cut): ClientClosed;
}

/** A stream of a client's own. */
export class ClientStream extends Stream implements ClientExchange {
  readonly #client: ClientHost;
  readonly #request: ClientRequest;
  readonly #sink: ResponseSink;
  #status = 0;
  #contentLength: number | undefined;
  #bodyBytes = 0;
  #trailers: Fields = noFields;

  constructor(client: ClientHost, request: ClientRequest, sink: ResponseSink) {
    super(client);
    this.#client = client;
    this.#request = request;
    this.#sink = sink;
    this.flow();
  }

  /** Sends the head, and what has waited for it. */
  begin(id: number): void {
    const { writer } = this.connection;
    const { method, path, headers } = this.#request;
    this.id = id;
    writer.beginHeaders(id);
    writer.fields(this.#client.pseudo(method, path));
    writer.fields(headers);
    writer.endHeaders(false);
    this.started();
  }

  write(bytes: Uint8Array): boolean {
    return this.send(bytes);
  }

  end(bytes?: Uint8Array): void {
    this.sendEnd(bytes, undefined);
  }

  pause(): void {
    this.hold();
  }

  resume(): void {
    if (!this.closed) this.flow();
  }

  reset(code: ResetCode): void {
    this.abort(resetCodes[code]);
  }

  protected onHeaders(block: HeadBlock, end: boolean): void {
    if (block.tooLarge) throw new StreamError(errorCodes.enhanceYourCalm, "more header fields than are taken");
    if (this.#status >= 200) {
      if (!end) throw malformed("trailers have to end the stream");
      this.#trailers = readTrailers(block);
      return;
    }
    const head = readResponseHead(block);
    if (head.status < 200) {
      if (end) throw malformed("an interim response cannot be all");
      return;
    }
    this.#status = head.status;
    this.#contentLength = head.contentLength;
    this.#sink.head(head.status, head.fields);
  }

  protected onData(bytes: Buffer): void {
    if (this.#status < 200) throw malformed("a body without a head");
    this.#bodyBytes += bytes.length;
    this.#sink.data(bytes);
  }

  protected onEnd(): void {
    if (this.#contentLength !== undefined && this.#bodyBytes !== this.#contentLength)
      throw malformed("a body of another length");
    if (this.#status < 200) throw malformed("a response without a head");
    this.#sink.end(this.#trailers);
  }

  protected onDrained(): void {
    this.#sink.drained();
  }

  protected onClosed(cut: Cut | undefined): void {
    const closed: ClientClosed = cut === undefined || this.remoteEnded ? { how: "done" } : this.#client.closedBy(cut);
    this.#sink.closed(closed);
  }
}
