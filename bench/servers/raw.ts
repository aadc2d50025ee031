import { toBinary } from "@bufbuild/protobuf";
import { defaultLimits as limits } from "convoke";
import { ConverseResponseSchema, TaskResponseSchema } from "convoke/contract";
import { createListener, type RequestSink, type ServerExchange } from "convoke/wire";
import { createEnvelopeCounter } from "../envelopes.ts";
import { createCount, createReply, envelope } from "../messages.ts";
import { runServer } from "./server.ts";

/**
 * A gRPC server that decodes nothing and answers bytes made beforehand: nobody's product, and faster than any, so that a client
 * measured against it is the bottleneck itself.
 */
const reply = envelope(toBinary(TaskResponseSchema, createReply()));
const head = Object.freeze(["content-type", "application/grpc"]);
const status = Object.freeze(["grpc-status", "0"]);

const nothing: RequestSink = { data() {}, drained() {}, end() {}, fail() {}, closed() {} };

await runServer(async () => {
  const listener = createListener({ limits, onRequest });
  const { port } = await listener.listen("127.0.0.1", 0);
  return port;
});

function onRequest(exchange: ServerExchange): void {
  if (exchange.path.endsWith("/Converse")) {
    const counter = createEnvelopeCounter();
    const data = (bytes: Uint8Array) => counter.add(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    const end = () => answer(exchange, envelope(toBinary(ConverseResponseSchema, createCount(counter.count))));
    exchange.accept({ ...nothing, data, end });
  } else exchange.accept({ ...nothing, end: () => answer(exchange, reply) });
}

function answer(exchange: ServerExchange, bytes: Uint8Array): void {
  exchange.respond(200, head, true);
  exchange.end(bytes, status);
}
