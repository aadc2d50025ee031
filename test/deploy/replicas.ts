import { create } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { createMemoryStore, defineAgent } from "../../src/index.ts";
import { createGate, echo } from "../support/agents.ts";
import { startServer } from "../support/server.ts";
import { Wire } from "../support/wire-service.ts";
import type { Addresses } from "./balancer.ts";

/** Three servers of this process, which differ in nothing but what they answer as agent `where`. */
export interface Replicas {
  readonly addresses: Addresses;
  /** Closes the gate at which the agent `gated` waits, the same one at every replica. */
  closeGate(): Gate;
}

export interface Gate extends ReturnType<typeof createGate> {
  /** How many runs each replica has begun. */
  readonly runs: Map<string, number>;
}

const text = (value: string) => create(StringValueSchema, { value });

/** Starts them; they end with the test file. */
export async function startReplicas(): Promise<Replicas> {
  let gate = closeGate();
  const store = createMemoryStore();
  const start = async (name: string) => {
    const where = defineAgent({
      name: "where",
      async *run() {
        yield name;
      },
    });
    const gated = defineAgent({
      name: "gated",
      run(task, ctx) {
        gate.runs.set(name, (gate.runs.get(name) ?? 0) + 1);
        return gate.agent.run(task, ctx);
      },
    });
    const services = (router: ConnectRouter) => router.service(Wire, wire);
    const limits = { abandonAfterMs: 500 }; // nginx closes the connection where a caller cancels
    const { port } = await startServer({ agents: [echo, where, gated], store, limits, services });
    return `127.0.0.1:${port}`;
  };
  return {
    addresses: [await start("one"), await start("two"), await start("three")],
    closeGate() {
      gate = closeGate();
      return gate;
    },
  };
}

function closeGate(): Gate {
  return { ...createGate(), runs: new Map() };
}

/** For what the contract of agents does not show: metadata, and how many bytes a client streamed. */
const wire: Partial<ServiceImpl<typeof Wire>> = {
  say(_request, { requestHeader, responseHeader, responseTrailer, timeoutMs }) {
    responseHeader.set("x_head.er", requestHeader.get("x_head.er") ?? "");
    responseTrailer.set("x_trail.er", requestHeader.get("x_head.er") ?? "");
    return text(String(timeoutMs()));
  },
  async *list({ value }) {
    for (let count = Number(value); count > 0; count--) yield text("x".repeat(64 * 1024));
  },
  async join(requests) {
    let length = 0;
    for await (const { value } of requests) length += value.length;
    return text(String(length));
  },
};
