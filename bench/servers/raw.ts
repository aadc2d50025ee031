import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { toBinary } from "@bufbuild/protobuf";
import { ConverseResponseSchema, TaskResponseSchema } from "convoke/contract";
import { createEnvelopeCounter } from "../envelopes.ts";
import { createCount, createReply, envelope } from "../messages.ts";
import { runServer } from "./server.ts";

/**
 * A gRPC server that decodes nothing and answers bytes made beforehand: nobody's product, and faster than any, so that a client
 * measured against it is the bottleneck itself.
 */
const reply = envelope(toBinary(TaskResponseSchema, createReply()));

await runServer(async () => {
  const server = createServer({ settings: { initialWindowSize: 1024 * 1024, maxConcurrentStreams: 1_000 } });
  server.on("session", (session) => session.setLocalWindowSize(16 * 1024 * 1024));
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {}); // its client was stopped
    if (headers[":path"]?.endsWith("/Converse")) countMessages(stream);
    else {
      stream.resume();
      stream.once("end", () => respond(stream, reply));
    }
  });
  server.on("sessionError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port; // it listens at a port
});

function countMessages(stream: ServerHttp2Stream): void {
  const counter = createEnvelopeCounter();
  stream.on("data", (bytes: Buffer) => counter.add(bytes));
  stream.once("end", () => respond(stream, envelope(toBinary(ConverseResponseSchema, createCount(counter.count)))));
}

function respond(stream: ServerHttp2Stream, bytes: Buffer): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(bytes);
}
