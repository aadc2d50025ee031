import { createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "convoke/contract";
import { checkReply, turnRequest } from "../messages.ts";
import type { Caller } from "./client.ts";

/** Convoke and connect-node have the same client over their transports. */
export function createConnectCaller(transport: Transport): Caller {
  const client = createClient(AgentService, transport);
  return {
    async call(request) {
      const { content } = await client.processTask(request);
      checkReply(content);
    },
    async send(messages) {
      let counted = 0;
      for await (const { index } of client.converse(turns(messages))) counted = index;
      return counted;
    },
  };
}

/** So many turns. */
export async function* turns(messages: number) {
  for (let index = 0; index < messages; index++) yield turnRequest;
}
