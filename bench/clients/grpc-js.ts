import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import type { ConverseRequest, ConverseResponse } from "convoke/contract";
import { agentService } from "../grpc-definition.ts";
import { checkReply, turnRequest } from "../messages.ts";
import { runClient } from "./client.ts";

runClient((url) => {
  const client = new Client(new URL(url).host, credentials.createInsecure());
  const { processTask, converse } = agentService;
  return {
    call: (request) =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = processTask;
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, reply) => {
          if (error) return reject(error);
          checkReply(reply?.content);
          resolve();
        });
      }),
    send: (messages) =>
      new Promise((resolve, reject) => {
        const call = client.makeBidiStreamRequest(converse.path, converse.requestSerialize, converse.responseDeserialize);
        let counted = 0;
        call.on("data", ({ index }: ConverseResponse) => {
          counted = index;
        });
        call.on("error", reject);
        call.on("end", () => resolve(counted));
        writeTurns(call, messages);
      }),
  };
});

function writeTurns(call: ClientDuplexStream<ConverseRequest, ConverseResponse>, messages: number): void {
  for (let left = messages; left > 0; left--) {
    if (call.write(turnRequest)) continue;
    call.once("drain", () => writeTurns(call, left - 1));
    return;
  }
  call.end();
}
