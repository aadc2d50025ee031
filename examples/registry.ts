import { serve } from "convoke";
import { certificatesOf } from "./certificates.ts";

/** A process of several examples: who can do what, where. Only who has a certificate of the domain may ask or register. */
const { url } = await serve({
  agents: [],
  registry: true,
  port: 0,
  tls: certificatesOf("registry").server,
  access: { trustDomains: ["example.org"] },
  log: { level: "warn" },
});
process.stdout.write(`listens at ${url}\n`);
