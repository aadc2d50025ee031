import type {
  ClientConnection,
  ClientExchange,
  HeaderList,
  RequestSink,
  ResponseSink,
  ServerExchange,
} from "../../src/wire/exchange.ts";
import { fieldsOf } from "../../src/wire/headers.ts";

/** What a driven exchange was answered with. */
export interface DrivenAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer;
  readonly trailers: HeaderList;
  /** True when it was reset instead. */
  readonly reset: boolean;
}

/** A request as a test makes it. */
export interface DrivenRequest {
  readonly method?: "GET" | "POST";
  readonly path: string;
  readonly headers?: HeaderList;
  /** Pieces of the body, as they come. */
  readonly body?: readonly Buffer[];
}

/** Brings a request to a handler without a socket, and gives the answer. @throws Error for an answer that is none. */
export function drive(handle: (exchange: ServerExchange) => void, request: DrivenRequest): Promise<DrivenAnswer> {
  return new Promise((resolve, reject) => {
    const { method = "POST", path, headers = [], body = [] } = request;
    let sink: RequestSink | undefined;
    let head: Pick<DrivenAnswer, "status" | "headers"> | undefined;
    let over = false;
    const chunks: Uint8Array[] = [];
    const begin = (status: number, list: HeaderList) => {
      if (over || head !== undefined) reject(new Error("a second answer"));
      head = { status, headers: list };
    };
    const finish = (trailers: HeaderList, reset = false) => {
      if (over) reject(new Error("a second end"));
      over = true;
      const { status = 0, headers: answered = [] } = head ?? {};
      resolve({ status, headers: answered, body: Buffer.concat(chunks), trailers, reset });
      sink?.closed(reset ? "reset" : "done");
    };
    handle({
      ...{ httpVersion: "2", method, path, authority: "test", scheme: "http", peerAddress: "", peerCertificate: undefined },
      headers: fieldsOf(headers),
      headerSize: () => ({ pairs: headers.length / 2, bytes: headers.join("").length }),
      addHeader: () => {},
      accept(given) {
        sink = given;
      },
      pause: () => {},
      resume: () => {},
      respondWhole(status, list, whole) {
        begin(status, list);
        if (whole !== undefined) chunks.push(whole);
        finish([]);
      },
      respond: begin,
      write(bytes) {
        if (over || head === undefined) reject(new Error("a write without a head"));
        chunks.push(bytes);
        return true;
      },
      end(bytes, trailers = []) {
        if (head === undefined) reject(new Error("an end without a head"));
        if (bytes !== undefined) chunks.push(bytes);
        finish(trailers);
      },
      reset: () => over || finish([], true),
      get responded() {
        return head !== undefined;
      },
    });
    for (const piece of body) if (!over) sink?.data(piece);
    if (!over) sink?.end();
  });
}

/** A response as a test makes it. */
export interface DrivenResponse {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: readonly Buffer[];
  readonly trailers?: HeaderList;
}

/** A connection whose every request gets this response, in the next turn. */
export function answering(response: () => DrivenResponse): ClientConnection {
  return {
    open(_request, sink): ClientExchange {
      let gone = false;
      queueMicrotask(() => bring(response(), sink, () => gone));
      const reset = () => {
        gone = true;
      };
      return { write: () => true, end: () => {}, pause: () => {}, resume: () => {}, reset };
    },
    close: () => {},
  };
}

function bring({ status, headers, body, trailers = [] }: DrivenResponse, sink: ResponseSink, gone: () => boolean): void {
  sink.head(status, fieldsOf(headers));
  for (const piece of body) if (!gone()) sink.data(piece);
  if (!gone()) sink.end(fieldsOf(trailers));
  sink.closed(gone() ? { how: "reset", code: 8 } : { how: "done" });
}
