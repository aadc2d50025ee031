import type { Agent } from "../agent/index.ts";
import { shellQuote } from "./shell-quote.ts";
import type { ToolOptions } from "./tool-options.ts";

/** What is served, and where. */
export interface Served {
  readonly url: string;
  /** At least one. */
  readonly agents: readonly Agent[];
  readonly page: boolean;
  /** Where tasks and memory are kept, with "in" or "on"; undefined when they end with the process. */
  readonly place: string | undefined;
  readonly tools: ToolOptions;
}

/** What a person wants to know: which agents are served, and lines to paste that call them. */
export function welcome({ url, agents, page, place, tools }: Served): string {
  const width = Math.max(...agents.map((agent) => agent.name.length));
  const list = agents.map(({ name, description }, index) =>
    `  ${name.padEnd(width)}  ${description}${index === 0 ? " (default)" : ""}`.trimEnd(),
  );
  return `
Convoke serves ${agents.length} ${agents.length === 1 ? "agent" : "agents"} on ${url}

${list.join("\n")}

Call them:
${callLines({ url, agents, tools }).join("\n")}

Tasks and memory ${place === undefined ? "end with this process" : `are kept ${place}`}.
${page ? `Or open ${url}/ in a browser. ` : ""}Ctrl-C stops.

`;
}

/** The same question by curl, by this program and by grpcurl. */
function callLines({ url, agents, tools }: Pick<Served, "url" | "agents" | "tools">): string[] {
  const asked = agents.findIndex((agent) => agent.examples.length > 0);
  const agent = asked > 0 ? agents[asked]?.name : undefined; // the default agent needs no name
  const question = agents[asked]?.examples[0] ?? "hello";
  const json = shellQuote(JSON.stringify({ ...(agent !== undefined && { agentId: agent }), content: question }));
  const to = agent === undefined ? "" : `--agent ${agent} `;
  return [
    `  curl ${tools.curl}-d ${json} -H 'content-type: application/json' ${url}/agent.v1.AgentService/ProcessTask`,
    `  npx convoke call ${url} ${tools.convoke}${to}--stream ${shellQuote(question)}`,
    `  grpcurl ${tools.grpcurl}-d ${json} ${new URL(url).host} agent.v1.AgentService/StreamResponse`,
  ];
}
