/** A server under test: reads what it shall be from standard input, tells where it listens on standard output. */
import { create } from "@bufbuild/protobuf";
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/server_compat_pb.js";
import { ConformanceService } from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";
import { resolveLimits } from "../../src/core/index.ts";
import { createListener, createRpcHandler } from "../../src/wire/index.ts";
import { readMessages, writeMessage } from "./frames.ts";
import { conformance, conformanceTypes } from "./service.ts";

for await (const request of readMessages(process.stdin, ServerCompatRequestSchema)) {
  const limits = resolveLimits(request.messageReceiveLimit > 0 ? { maxMessageBytes: request.messageReceiveLimit } : {});
  const rpc = createRpcHandler({
    limits,
    types: conformanceTypes,
    routes: (router) => router.service(ConformanceService, conformance),
  });
  const { serverCreds, clientTlsCert, useTls } = request;
  const credentials = { cert: Buffer.from(serverCreds?.cert ?? []), key: Buffer.from(serverCreds?.key ?? []) };
  const tls = clientTlsCert.length > 0 ? { ...credentials, clientCa: Buffer.from(clientTlsCert) } : credentials;
  const listener = createListener({
    limits,
    onRequest: rpc.handle,
    ...(useTls && { tls: { ...tls, minVersion: "TLSv1.2" as const } }),
  });
  const { port } = await listener.listen("127.0.0.1", 0);
  writeMessage(
    ServerCompatResponseSchema,
    create(ServerCompatResponseSchema, { host: "127.0.0.1", port, pemCert: credentials.cert }),
  );
}
