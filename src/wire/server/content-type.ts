import type { DescMethod } from "@bufbuild/protobuf";
import * as connect from "@connectrpc/connect/protocol-connect";
import * as grpcTypes from "@connectrpc/connect/protocol-grpc";
import * as grpcWebTypes from "@connectrpc/connect/protocol-grpc-web";
import { wireBounds } from "../../core/index.ts";
import type { CodecName } from "../codec.ts";
import { connectStream } from "./connect-stream.ts";
import { connectUnary } from "./connect-unary.ts";
import { grpc } from "./grpc.ts";
import { grpcWeb, grpcWebText } from "./grpc-web.ts";
import type { ServerProtocol } from "./protocol.ts";

/** What a request's content type says. */
export interface ContentType {
  readonly protocol: ServerProtocol;
  readonly codec: CodecName;
  /** True when the body is base64. */
  readonly text: boolean;
}

const cache = new Map<string, ContentType | undefined>();

/** The protocol and codec that a content type names for a method; undefined when it is served with no such type. */
export function readContentType(text: string, method: DescMethod): ContentType | undefined {
  let found = cache.get(text);
  if (found === undefined && !cache.has(text)) {
    found = parse(text);
    if (cache.size < wireBounds.maxCachedHeaders) cache.set(text, found);
  }
  const kindFits = found?.protocol !== (method.methodKind === "unary" ? connectStream : connectUnary);
  return kindFits ? found : undefined;
}

function parse(text: string): ContentType | undefined {
  const connectType = connect.parseContentType(text);
  if (connectType !== undefined) {
    const protocol = connectType.stream ? connectStream : connectUnary;
    return { protocol, codec: codecOf(connectType.binary), text: false };
  }
  const webType = grpcWebTypes.parseContentType(text);
  if (webType !== undefined) {
    return { protocol: webType.text ? grpcWebText : grpcWeb, codec: codecOf(webType.binary), text: webType.text };
  }
  const grpcType = grpcTypes.parseContentType(text);
  return grpcType === undefined ? undefined : { protocol: grpc, codec: codecOf(grpcType.binary), text: false };
}

function codecOf(binary: boolean): CodecName {
  return binary ? "proto" : "json";
}
