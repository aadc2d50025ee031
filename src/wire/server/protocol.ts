import type { ConnectError } from "@connectrpc/connect";
import type { CodecName } from "../codec.ts";
import type { HeaderList, ServerExchange } from "../exchange.ts";
import { appendUserFields } from "../headers.ts";

/** What a call has to answer when it ends. */
export interface Response {
  readonly exchange: ServerExchange;
  readonly codec: CodecName;
  /** The name of the compression that the messages were offered to; some protocols announce it in the head. */
  readonly encoding: string | undefined;
  /** What the handler set; undefined when it touched none. */
  readonly header: Headers | undefined;
  readonly trailer: Headers | undefined;
}

/** The last of a response. */
export interface Ending {
  /** Body bytes that still wait to be written: whole envelopes, or the one message where there are none. */
  readonly rest: Uint8Array | undefined;
  /** The compression of `rest` where messages have no envelopes. */
  readonly compressed?: string | undefined;
  readonly error: ConnectError | undefined;
}

/** What tells the protocols apart on the server. */
export interface ServerProtocol {
  /** The name that handlers see. */
  readonly name: "grpc" | "grpc-web" | "connect";
  /** False where the body is the message itself. */
  readonly enveloped: boolean;
  /** True where the outcome travels in HTTP trailers. */
  readonly trailers: boolean;
  /** True when messages are compressed only for a caller that compressed its own. */
  readonly symmetricCompression: boolean;
  readonly headers: {
    readonly encoding: string;
    readonly acceptEncoding: string;
    readonly timeout: string;
  };
  /** @throws ConnectError INVALID_ARGUMENT for a malformed value. */
  parseTimeout(value: string): number;
  /** The response's head before the first message, without what the handler set. */
  head(response: Response): HeaderList;
  /** Ends the response: its head, if that has not been sent, what is left of the body, and the outcome. */
  end(response: Response, ending: Ending): void;
}

/** A head with what the handler set. */
export function withUserFields(head: HeaderList, header: Headers | undefined): HeaderList {
  if (header === undefined) return head;
  const list = [...head];
  appendUserFields(list, header);
  return list;
}
