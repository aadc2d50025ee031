import type { ConverseRequest } from "convoke/contract";
import { createServer } from "nice-grpc";
import { agentService } from "../grpc-definition.ts";
import { chunksPerStream, createChunk, createCount, createReply } from "../messages.ts";
import { runServer } from "./server.ts";

await runServer(async () => {
  const server = createServer();
  server.add(agentService, {
    processTask: async () => createReply(),
    async *streamResponse() {
      for (let index = 0; index < chunksPerStream; index++) yield createChunk(index);
    },
    async *converse(requests: AsyncIterable<ConverseRequest>) {
      let messages = 0;
      for await (const _ of requests) messages++;
      yield createCount(messages);
    },
  });
  return server.listen("127.0.0.1:0");
});
