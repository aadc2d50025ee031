import { connect } from "convoke";
import { certificatesOf } from "../certificates.ts";

/** The third process: finds who can schedule, checks who that is, asks, and ends. */
const [, registry = "", question = ""] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);

const agents = connect({ registry, tls: certificatesOf("assistant").client, timeoutMs: 10_000 });

for await (const found of agents.watch({ capability: "schedule" }, { signal: AbortSignal.timeout(10_000) })) {
  const [endpoint] = found;
  if (endpoint === undefined) continue; // it may be there soon
  say(`discovers ${endpoint.agent} at ${endpoint.url}`);
  say(`expects it to prove ${endpoint.identity}, and to serve contract ${endpoint.contractSha256.slice(0, 12)}…`);
  break;
}

say(`asks: ${question}`);
const { content, citations } = await agents.capability("schedule").process(question);
say(`is answered: ${content}`);
for (const { uri, quote } of citations) say(`with the source ${uri}: ${quote}`);
agents.close();
