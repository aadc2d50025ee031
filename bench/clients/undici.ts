import { Pool } from "undici";
import { checkReply, requestJson } from "../messages.ts";
import { runClient } from "./client.ts";

runClient((url) => {
  const pool = new Pool(url, { connections: 64 });
  const headers = { "content-type": "application/json" };
  return {
    async call() {
      const { body } = await pool.request({ path: "/tasks", method: "POST", headers, body: requestJson });
      const { content } = (await body.json()) as { content?: unknown }; // checked next
      checkReply(content);
    },
  };
});
