import { createGrpcTransport } from "@connectrpc/connect-node";
import { runClient } from "./client.ts";
import { createConnectCaller } from "./connect-caller.ts";

runClient((baseUrl) => createConnectCaller(createGrpcTransport({ baseUrl })));
