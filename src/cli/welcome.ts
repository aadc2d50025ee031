import { X509Certificate } from "node:crypto";
import type { Agent } from "../agent/index.ts";

/** What is served, and where. */
export interface Served {
  readonly url: string;
  /** At least one. */
  readonly agents: readonly Agent[];
  /** The file of the certificate, and what is in it, when the server speaks TLS. */
  readonly certificate?: { readonly file: string; readonly pem: Buffer } | undefined;
  readonly page: boolean;
}

/** What a person wants to know: which agents are served, and lines to paste that call them. */
export function welcome({ url, agents, certificate, page }: Served): string {
  const width = Math.max(...agents.map((agent) => agent.name.length));
  const list = agents.map(({ name, description }, index) =>
    `  ${name.padEnd(width)}  ${description}${index === 0 ? " (default)" : ""}`.trimEnd(),
  );
  return `
Convoke serves ${agents.length} ${agents.length === 1 ? "agent" : "agents"} on ${url}

${list.join("\n")}

Call them:
${callLines({ url, agents, certificate, page }).join("\n")}

${page ? `Or open ${url}/ in a browser. ` : ""}Ctrl-C stops.

`;
}

/** The same question by curl, by this program and by grpcurl. */
function callLines({ url, agents, certificate }: Served): string[] {
  const asked = agents.findIndex((agent) => agent.examples.length > 0);
  const agent = asked > 0 ? agents[asked]?.name : undefined; // the default agent needs no name
  const question = agents[asked]?.examples[0] ?? "hello";
  const json = shellQuote(JSON.stringify({ ...(agent !== undefined && { agentId: agent }), content: question }));
  const to = agent === undefined ? "" : `--agent ${agent} `;
  const [curlTls, grpcurlTls] = certificate === undefined ? ["", "-plaintext "] : ["-k ", "-insecure "];
  return [
    `  curl ${curlTls}-d ${json} -H 'content-type: application/json' ${url}/agent.v1.AgentService/ProcessTask`,
    `  npx convoke call ${url} ${trustOption(certificate)}${to}--stream ${shellQuote(question)}`,
    `  grpcurl ${grpcurlTls}-d ${json} ${new URL(url).host} agent.v1.AgentService/StreamResponse`,
  ];
}

/** A certificate that signs itself is its own authority; others are the system's to trust. */
function trustOption(certificate: Served["certificate"]): string {
  if (certificate === undefined) return "";
  const parsed = new X509Certificate(certificate.pem);
  return parsed.checkIssued(parsed) ? `--tls-ca ${shellQuote(certificate.file)} ` : "";
}

/** Text as one word of a shell's line. */
export function shellQuote(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
