import { checkReply } from "../messages.ts";
import { runClient } from "./client.ts";

runClient((url) => {
  const headers = { "content-type": "application/json" };
  return {
    async call({ agentId, content: question }) {
      const body = JSON.stringify({ agentId, content: question });
      const response = await fetch(`${url}/tasks`, { method: "POST", headers, body });
      const { content } = (await response.json()) as { content?: unknown }; // checked next
      checkReply(content);
    },
  };
});
