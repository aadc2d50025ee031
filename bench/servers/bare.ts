import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { TaskRequestSchema, TaskResponseSchema } from "convoke/contract";
import { createReply, envelope } from "../messages.ts";
import { runServer } from "./server.ts";

/**
 * What node:http2 and protobuf-es cost by themselves: a handler for this one call, in protobuf, by gRPC or by Connect. No checks, no
 * deadline, no errors, no context: nobody's product, but close to the line that no server on node:http2 gets over.
 */
await runServer(async () => {
  const server = createServer({ settings: { initialWindowSize: 1024 * 1024, maxConcurrentStreams: 1_000 } });
  server.on("session", (session) => session.setLocalWindowSize(16 * 1024 * 1024));
  server.on("stream", (stream, headers) => {
    const answer = headers["content-type"] === "application/proto" ? answerConnect : answerGrpc;
    let body: Buffer | undefined;
    stream.on("error", () => {}); // its client was stopped
    stream.on("data", (bytes: Buffer) => {
      body = body === undefined ? bytes : Buffer.concat([body, bytes]);
    });
    stream.on("end", () => answer(stream, body ?? Buffer.alloc(0)));
  });
  server.on("sessionError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // it listens at a port
});

function answerConnect(stream: ServerHttp2Stream, body: Buffer): void {
  fromBinary(TaskRequestSchema, body);
  const reply = toBinary(TaskResponseSchema, createReply());
  stream.respond([":status", "200", "content-type", "application/proto", "content-length", String(reply.length)]);
  stream.end(reply);
}

function answerGrpc(stream: ServerHttp2Stream, body: Buffer): void {
  fromBinary(TaskRequestSchema, body.subarray(5)); // after flags and length
  const reply = envelope(toBinary(TaskResponseSchema, createReply()));
  stream.respond([":status", "200", "content-type", "application/grpc+proto"], { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(reply);
}
