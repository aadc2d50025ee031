import { once } from "node:events";
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AgentService } from "../../gen/agent/agent_pb.js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { AgentService as AgentServiceV1, Status } from "../../src/contract/index.ts";
import type { ForeignServer } from "./foreign-server.ts";
import { createWitness, type Witness } from "./witness.ts";

/** The first contract and the little of agent.v1 that a client shows, on connect-node; see the agents in foreign-server.ts. */
export async function startConnectNodeServer(httpVersion: "1.1" | "2"): Promise<ForeignServer> {
  const implementation = createFirst(createWitness());
  const adapter = connectNodeAdapter({
    routes: (router) => {
      router.service(AgentService, implementation);
      router.service(AgentServiceV1, second);
    },
  });
  const sockets = new Set<{ destroy(): void }>();
  const server = httpVersion === "2" ? createHttp2Server(adapter) : createHttp1Server(adapter);
  server.on("connection", (socket) => sockets.add(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo; // it listens at a port
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

function createFirst(witness: Witness): ServiceImpl<typeof AgentService> {
  return {
    async processTask({ taskId, agentId, content }, context) {
      tell(context);
      if (agentId === "failing") throw failure();
      if (agentId === "late") throw new ConnectError("too late for the server", Code.DeadlineExceeded);
      if (agentId === "timed") return { content: String(context.timeoutMs()) };
      if (agentId === "witness") await witness.wait(content);
      if (agentId === "waiting") await ended(context, () => witness.saw(taskId));
      return { taskId, content: agentId === "witness" ? "ended" : content };
    },
    async *streamResponse({ taskId, agentId, content }, context) {
      tell(context);
      if (agentId === "waiting") {
        yield { taskId, text: "first" };
        await ended(context, () => witness.saw(taskId));
      }
      for (const [index, text] of content.split(" ").entries()) yield { taskId, text, index };
      if (agentId === "failing") throw failure();
    },
    async *converse(turns, context) {
      tell(context);
      for await (const { content } of turns) yield { text: `${content}!`, isFinal: true };
    },
  };
}

const second: Partial<ServiceImpl<typeof AgentServiceV1>> = {
  processTask: ({ content }) => ({ content, status: Status.COMPLETED }),
  async *streamResponse({ content }) {
    for (const [index, text] of content.split(" ").entries()) yield { text, index };
  },
  async *converse(requests) {
    for await (const { action } of requests) {
      if (action.case !== "startTurn") continue;
      yield { event: { case: "text", value: action.value.content } };
      yield { event: { case: "turnFinished", value: { status: Status.COMPLETED } } };
    }
  },
};

/** Sends what was asked in the metadata, in front and behind. */
function tell({ requestHeader, responseHeader, responseTrailer }: HandlerContext): void {
  for (const name of ["x-ask", "x-ask-bin"]) {
    const value = requestHeader.get(name);
    if (value === null) continue;
    responseHeader.set(name, value);
    responseTrailer.set(name.replace("x-ask", "x-after"), value);
  }
}

/** Waits for the end of the call, and never settles. */
async function ended({ signal }: HandlerContext, saw: () => void): Promise<never> {
  if (!signal.aborted) await once(signal, "abort");
  saw();
  return new Promise(() => {}); // connect-node reports an answer to a caller that has gone
}

function failure(): ConnectError {
  const details = [{ desc: ErrorInfoSchema, value: { reason: "TESTED", domain: "test" } }];
  return new ConnectError("der Kalender ist schreibgeschützt", Code.FailedPrecondition, undefined, details);
}
