import { promisify } from "node:util";
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import type { ConverseRequest, ConverseResponse, TaskRequest, TaskResponse, TokenChunk } from "convoke/contract";
import { agentService } from "../grpc-definition.ts";
import { chunksPerStream, createChunk, createCount, createReply, idleQuestion } from "../messages.ts";
import { runServer } from "./server.ts";

const processTask: handleUnaryCall<TaskRequest, TaskResponse> = (_call, callback) => callback(null, createReply());

const streamResponse: handleServerStreamingCall<TaskRequest, TokenChunk> = (call) => {
  if (call.request.content === idleQuestion) {
    call.write(createChunk(0));
    call.once("cancelled", () => call.end());
  } else writeChunks(call, 0);
};

/** Waits for room as a program should that does not want to hold every message in memory. */
function writeChunks(call: ServerWritableStream<TaskRequest, TokenChunk>, from: number): void {
  for (let index = from; index < chunksPerStream; index++) {
    if (call.write(createChunk(index))) continue;
    call.once("drain", () => writeChunks(call, index + 1));
    return;
  }
  call.end();
}

const converse: handleBidiStreamingCall<ConverseRequest, ConverseResponse> = (call) => {
  let messages = 0;
  call.on("data", () => messages++);
  call.on("end", () => {
    call.write(createCount(messages));
    call.end();
  });
};

await runServer(async ({ tls }) => {
  const server = new Server();
  server.addService(agentService, { processTask, streamResponse, converse });
  const pair = tls && [{ cert_chain: Buffer.from(tls.cert), private_key: Buffer.from(tls.key) }];
  const credentials = pair ? ServerCredentials.createSsl(null, pair) : ServerCredentials.createInsecure();
  const bind = promisify(server.bindAsync.bind(server));
  return bind("127.0.0.1:0", credentials);
});
