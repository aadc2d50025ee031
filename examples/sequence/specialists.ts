import { definePolicy, serve } from "convoke";
import { certificatesOf } from "../certificates.ts";
import { telling } from "../telling.ts";
import scheduler from "./scheduler.ts";

/** The second process: specialists, and the memory that they share with who asks them; for the orchestrator and for nobody else. */
const [, registry = ""] = process.argv.slice(2);
const { server: tls, client } = certificatesOf("specialists");

const callers = ["spiffe://example.org/agent/orchestrator"];
const policy = definePolicy([
  { callers, capabilities: ["schedule"] },
  { callers, methods: ["agent.v1.MemoryService/*"] },
]);

const { url } = await serve({
  agents: [telling(scheduler)],
  port: 0,
  tls,
  access: { trustDomains: ["example.org"], policy },
  register: { registry, tls: client },
  log: { level: "warn" },
});
process.stdout.write(`serves ${scheduler.name} at ${url}\n`);
