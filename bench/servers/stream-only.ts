import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { defaultLimits as limits, Status } from "convoke";
import { AgentService, type TaskRequest, type TokenChunk, TokenChunkSchema } from "convoke/contract";
import { createListener, createRpcHandler } from "convoke/wire";
import { chunksAskedFor, createChunk } from "../messages.ts";
import { runServer } from "./server.ts";

/** The messages that an agent of `tasks.ts` sends, from a service that makes them as they leave: no agent, no task, no log. */
async function* streamResponse({ metadata }: TaskRequest): AsyncGenerator<TokenChunk> {
  const taskId = randomUUID();
  const last = chunksAskedFor(metadata) - 1;
  for (let index = 0; index < last; index++) yield createChunk(index, taskId);
  yield create(TokenChunkSchema, { taskId, index: last, isFinal: true, status: Status.COMPLETED });
}

await runServer(async () => {
  const routes = (router: ConnectRouter) => void router.service(AgentService, { streamResponse });
  const rpc = createRpcHandler({ routes, limits });
  const listener = createListener({ limits, onRequest: rpc.handle });
  const { port } = await listener.listen("127.0.0.1", 0);
  return port;
});
