import type { ConnectError } from "@connectrpc/connect";
import type { CodecName } from "../codec.ts";
import type { Fields, HeaderList } from "../exchange.ts";

/** The first of a response. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: Fields;
  readonly codec: CodecName;
}

/** All of a response but its messages. */
export interface WholeResponse extends ResponseHead {
  /** HTTP's own trailers. */
  readonly trailers: Fields;
  /** The envelope that ends the body, where the protocol has one and it came. */
  readonly end: Uint8Array | undefined;
  /** The body of an error, where the protocol has one (see {@link ClientProtocol.readHead}). */
  readonly errorBody: Uint8Array | undefined;
  /** False when there was no body at all. */
  readonly sawBody: boolean;
}

/** How a call came out. */
export interface Outcome {
  readonly error: ConnectError | undefined;
  /** Trailing metadata. */
  readonly trailer: Fields;
}

/** What tells the protocols apart on the client. */
export interface ClientProtocol {
  /** False where the body is the message itself. */
  readonly enveloped: boolean;
  /** The bit of an envelope's flags that says it is the last one; 0 where there is none. */
  readonly endFlag: number;
  readonly headers: {
    readonly encoding: string;
    readonly acceptEncoding: string;
    readonly timeout: string;
  };
  /** The fields of every request. */
  requestHeaders(codec: CodecName): HeaderList;
  formatTimeout(timeoutMs: number): string;
  /** Whether messages follow, or the body tells of an error. @throws ConnectError when the head alone ends the call. */
  readHead(head: ResponseHead): "messages" | "error";
  /** The head's fields as leading metadata. */
  headerList(headers: Fields): HeaderList;
  /** Reads how the call came out, once the response is whole. */
  readOutcome(response: WholeResponse): Outcome;
}

/** How this client calls itself. */
export const userAgent = "convoke";
