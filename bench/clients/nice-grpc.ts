import { createChannel, createClient } from "nice-grpc";
import { agentService } from "../grpc-definition.ts";
import { checkReply } from "../messages.ts";
import { runClient } from "./client.ts";
import { turns } from "./connect-caller.ts";

runClient((url) => {
  const client = createClient(agentService, createChannel(new URL(url).host));
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
});
