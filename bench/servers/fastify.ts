import type { AddressInfo } from "node:net";
import fastify from "fastify";
import { createRestReply } from "../messages.ts";
import { runServer } from "./server.ts";

const text = { type: "string" };
const count = { type: "integer" };

/** Fastify checks the request and writes the response by schema, as its documentation recommends for speed. */
const schema = {
  body: { type: "object", required: ["content"], properties: { agentId: text, content: text } },
  response: {
    200: {
      type: "object",
      properties: {
        taskId: text,
        content: text,
        usage: { type: "object", properties: { promptTokens: count, completionTokens: count } },
        status: text,
      },
    },
  },
};

await runServer(async () => {
  const app = fastify();
  app.post("/tasks", { schema }, async () => createRestReply());
  await app.listen({ host: "127.0.0.1", port: 0 });
  return (app.server.address() as AddressInfo).port; // it listens at a port
});
