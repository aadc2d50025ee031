/** A client under test: reads calls to make from standard input, tells on standard output how each of them went. */
import { create } from "@bufbuild/protobuf";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.js";
import { makeCall } from "./calls.ts";
import { readMessages, writeMessage } from "./frames.ts";
import { createTransports } from "./transports.ts";

/** Calls at once. Most of a run's time is calls that wait for a deadline or a delay, so that many can share one process. */
const maxCalls = 32;

const transports = createTransports();
const running = new Set<Promise<void>>();
for await (const request of readMessages(process.stdin, ClientCompatRequestSchema)) {
  const call = answer(request).finally(() => running.delete(call));
  running.add(call);
  if (running.size >= maxCalls) await Promise.race(running);
}
await Promise.all(running);
transports.close();

async function answer(request: ClientCompatRequest): Promise<void> {
  const { testName } = request;
  try {
    const value = await makeCall(request, transports.of(request));
    writeMessage(
      ClientCompatResponseSchema,
      create(ClientCompatResponseSchema, { testName, result: { case: "response", value } }),
    );
  } catch (cause) {
    const value = { message: String(cause) };
    writeMessage(
      ClientCompatResponseSchema,
      create(ClientCompatResponseSchema, { testName, result: { case: "error", value } }),
    );
  }
}
