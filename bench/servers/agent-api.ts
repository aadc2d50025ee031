import { defineAgent, serve, usage } from "convoke";
import { answer } from "../messages.ts";
import { runServer } from "./server.ts";

const schedule = defineAgent({
  name: "schedule",
  capabilities: ["schedule"],
  description: "Finds free slots.",
  async *run() {
    yield answer;
    yield usage({ prompt: 128, completion: 32 });
  },
});

await runServer(async ({ tls }) => {
  const { port } = await serve({ agents: [schedule], port: 0, signals: false, log: { level: "warn" }, ...(tls && { tls }) });
  return port;
});
