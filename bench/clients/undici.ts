import { Pool } from "undici";
import { checkReply } from "../messages.ts";
import { runClient } from "./client.ts";

runClient((url) => {
  const pool = new Pool(url, { connections: 64 });
  const headers = { "content-type": "application/json" };
  return {
    async call({ agentId, content: question }) {
      const body = JSON.stringify({ agentId, content: question });
      const response = await pool.request({ path: "/tasks", method: "POST", headers, body });
      const { content } = (await response.body.json()) as { content?: unknown }; // checked next
      checkReply(content);
    },
  };
});
