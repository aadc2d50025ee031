import { promisify } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { definitionOf } from "./contract.ts";
import type { ForeignServer } from "./foreign-server.ts";
import { createWitness } from "./witness.ts";

interface Task {
  readonly task_id: string;
  readonly agent_id: string;
  readonly content: string;
}

type Unary = grpc.ServerUnaryCall<Task, object>;
type Stream = grpc.ServerWritableStream<Task, object>;
type Duplex = grpc.ServerDuplexStream<Task, object>;

/** The first contract on grpc-js; see the agents in foreign-server.ts. */
export async function startGrpcJsServer(): Promise<ForeignServer> {
  const witness = createWitness();
  const server = new grpc.Server();
  server.addService(definitionOf("agent.AgentService"), {
    ProcessTask(call: Unary, answer: grpc.sendUnaryData<object>) {
      const { task_id, agent_id, content } = call.request;
      const trailer = tell(call);
      const reply = (text: string) => answer(null, { task_id, content: text, status: "COMPLETED" }, trailer);
      if (agent_id === "failing") answer(failure(trailer));
      else if (agent_id === "late") answer({ code: grpc.status.DEADLINE_EXCEEDED, details: "too late for the server" });
      else if (agent_id === "timed") reply(String(Number(call.getDeadline()) - Date.now()));
      else if (agent_id === "witness") void witness.wait(content).then(() => reply("ended"));
      else if (agent_id === "waiting") call.on("cancelled", () => witness.saw(task_id));
      else reply(content);
    },
    StreamResponse(call: Stream) {
      const { task_id, agent_id, content } = call.request;
      const trailer = tell(call);
      if (agent_id === "waiting") {
        call.on("cancelled", () => witness.saw(task_id));
        call.write({ task_id, text: "first" });
        return;
      }
      content.split(" ").forEach((text, index) => {
        call.write({ task_id, text, index });
      });
      if (agent_id === "failing") call.emit("error", failure(trailer));
      else call.end(trailer);
    },
    Converse(call: Duplex) {
      const trailer = tell(call);
      call.on("data", ({ content }: Task) => call.write({ text: `${content}!`, is_final: true }));
      call.on("end", () => call.end(trailer));
    },
  });
  const port = await promisify(server.bindAsync.bind(server))("127.0.0.1:0", grpc.ServerCredentials.createInsecure());
  return { url: `http://127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

/** Sends what was asked in the metadata, and gives it for the trailers. */
function tell(call: Unary | Stream | Duplex): grpc.Metadata {
  const header = new grpc.Metadata();
  const trailer = new grpc.Metadata();
  for (const name of ["x-ask", "x-ask-bin"]) {
    for (const value of call.metadata.get(name)) {
      header.add(name, value);
      trailer.add(name.replace("x-ask", "x-after"), value);
    }
  }
  call.sendMetadata(header);
  return trailer;
}

function failure(metadata: grpc.Metadata): Partial<grpc.StatusObject> {
  const message = "der Kalender ist schreibgeschützt";
  const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "TESTED", domain: "test" }));
  const status = create(StatusSchema, { code: grpc.status.FAILED_PRECONDITION, message, details: [info] });
  metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return { code: grpc.status.FAILED_PRECONDITION, details: message, metadata };
}
