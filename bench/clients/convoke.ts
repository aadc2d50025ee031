import { createTransport } from "convoke/wire";
import { runClient } from "./client.ts";
import { createConnectCaller } from "./connect-caller.ts";

runClient((baseUrl) => createConnectCaller(createTransport({ baseUrl, protocol: "grpc" })));
