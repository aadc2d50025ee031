import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { AgentService, type ConverseRequest, type TaskRequest } from "convoke/contract";
import { chunksPerStream, createChunk, createCount, createReply, idleQuestion } from "../messages.ts";

/** The service under test for Convoke and connect-node: the very same implementation. */
export function routes(router: ConnectRouter): void {
  router.service(AgentService, {
    processTask: createReply,
    async *streamResponse({ content }: TaskRequest, { signal }: HandlerContext) {
      if (content === idleQuestion) {
        yield createChunk(0);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return;
      }
      for (let index = 0; index < chunksPerStream; index++) yield createChunk(index);
    },
    async *converse(requests: AsyncIterable<ConverseRequest>) {
      let messages = 0;
      for await (const _ of requests) messages++;
      yield createCount(messages);
    },
  });
}
