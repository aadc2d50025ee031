import { checkReply, requestJson } from "../messages.ts";
import { runClient } from "./client.ts";

runClient((url) => {
  const request = { method: "POST", headers: { "content-type": "application/json" }, body: requestJson };
  return {
    async call() {
      const response = await fetch(`${url}/tasks`, request);
      const { content } = (await response.json()) as { content?: unknown }; // checked next
      checkReply(content);
    },
  };
});
