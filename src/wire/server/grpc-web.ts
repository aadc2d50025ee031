import { joinEnvelopes } from "../envelope.ts";
import type { HeaderList } from "../exchange.ts";
import { grpcHead, grpcTrailers, parseGrpcTimeout } from "./grpc.ts";
import { type Response, type ServerProtocol, withUserFields } from "./protocol.ts";

/** The bit of an envelope's flags that says it holds the trailers. */
const trailerFlag = 0b1000_0000;

/** gRPC-Web (grpc/doc/PROTOCOL-WEB.md): gRPC with its trailers in the body, for browsers and HTTP/1.1. */
export const grpcWeb: ServerProtocol = {
  name: "grpc-web",
  enveloped: true,
  trailers: false,
  symmetricCompression: false,
  headers: { encoding: "grpc-encoding", acceptEncoding: "grpc-accept-encoding", timeout: "grpc-timeout" },
  parseTimeout: parseGrpcTimeout,
  head: (response) => grpcHead(response, "application/grpc-web"),
  end(response, { rest, error }) {
    const { exchange, header } = response;
    const trailers = grpcTrailers(response, error);
    const last = joinEnvelopes([{ flags: trailerFlag, payload: trailerBlock(trailers) }]);
    const body = rest === undefined ? last : Buffer.concat([rest, last]);
    if (exchange.responded) exchange.end(body);
    else exchange.respondWhole(200, withUserFields(this.head(response), header), body);
  },
};

function trailerBlock(trailers: HeaderList): Buffer {
  let text = "";
  for (let index = 0; index < trailers.length; index += 2) text += `${trailers[index]}: ${trailers[index + 1]}\r\n`;
  return Buffer.from(text, "latin1");
}

/** The response as base64 (`grpc-web-text`) has its own content type. */
export const grpcWebText: ServerProtocol = {
  ...grpcWeb,
  head: (response: Response) => grpcHead(response, "application/grpc-web-text"),
};
