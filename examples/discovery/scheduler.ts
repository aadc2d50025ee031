import { definePolicy, serve } from "convoke";
import { certificatesOf } from "../certificates.ts";
import schedule from "../team/schedule.ts";
import { telling } from "../telling.ts";

/** The second process: an agent that can schedule, for the assistant and for nobody else. */
const [, registry = ""] = process.argv.slice(2);
const { server, client } = certificatesOf("scheduler");

const { url } = await serve({
  agents: [telling(schedule)],
  port: 0,
  tls: server,
  access: {
    trustDomains: ["example.org"],
    policy: definePolicy([{ callers: ["spiffe://example.org/agent/assistant"], capabilities: ["schedule"] }]),
  },
  register: { registry, tls: client },
  log: { level: "warn" },
});
process.stdout.write(`serves ${schedule.name} at ${url}\n`);
