import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import type { BenchCase } from "./case.ts";
import { cases as agentApi } from "./cases/agent-api.ts";
import { cases as agents } from "./cases/agents.ts";
import { cases as browserAndJson } from "./cases/browser-and-json.ts";
import { cases as clientStreaming } from "./cases/client-streaming.ts";
import { cases as clientUnary } from "./cases/client-unary.ts";
import { cases as cpu } from "./cases/cpu.ts";
import { cases as endToEnd } from "./cases/end-to-end.ts";
import { cases as fanOut } from "./cases/fan-out.ts";
import { cases as firstToken } from "./cases/first-token.ts";
import { cases as idleStreams } from "./cases/idle-streams.ts";
import { cases as latency } from "./cases/latency.ts";
import { cases as messages } from "./cases/messages.ts";
import { cases as millionTasks } from "./cases/million-tasks.ts";
import { cases as natsEvents } from "./cases/nats-events.ts";
import { cases as serverConnect } from "./cases/server-connect.ts";
import { cases as serverStreaming } from "./cases/server-streaming.ts";
import { cases as serverUnary } from "./cases/server-unary.ts";
import { cases as sqliteEvents } from "./cases/sqlite-events.ts";
import { cases as taskLogStreaming } from "./cases/task-log-streaming.ts";
import { cases as tls } from "./cases/tls.ts";
import { formatChart } from "./chart.ts";
import { fullPlan, measureCase, type Plan, quickPlan } from "./measure.ts";
import { type Row, rowsOf } from "./results.ts";
import { formatSummary, formatTable } from "./table.ts";
import { generatePythonStubs, grpcAio, h2load } from "./tools.ts";

/** In the order in which people want to read them. */
const all = [
  [serverUnary, serverStreaming, serverConnect, tls],
  [clientUnary, clientStreaming],
  [endToEnd, fanOut, latency],
  [agentApi, taskLogStreaming, browserAndJson, agents],
  [sqliteEvents, natsEvents, firstToken, millionTasks],
  [cpu, idleStreams, messages],
].flat(2);

const usage = `npm run bench -- [--quick] [--json FILE] [--only NAME] [--svg FILE]

  --quick      shorter runs, about three minutes in all; figures are rough
  --only NAME  the cases whose name starts so, several times for several: ${all.map(({ name }) => name).join(", ")}
  --json FILE  writes the results
  --svg FILE   writes the chart
`;

/** Longer than the longest run; whatever hangs, the benchmark ends. */
const wholeRunMs = 30 * 60 * 1_000;

async function main(): Promise<number> {
  const { quick, json, only, svg } = readArguments();
  const chosen = only === undefined ? all : all.filter(({ name }) => only.some((start) => name.startsWith(start)));
  if (chosen.length === 0) throw new TypeError(`no case is called ${only?.join(" or ")}`);
  if (grpcAio.version !== undefined) generatePythonStubs();
  const { rows, failed, skipped } = await measureAll(chosen, quick ? quickPlan : fullPlan);
  process.stdout.write(`\n${machine()}\n`);
  for (const benchCase of chosen) {
    const own = rows.get(benchCase) ?? [];
    if (own.length > 0) process.stdout.write(`${formatTable(benchCase, own)}\n`);
  }
  const flat = [...rows.values()].flat();
  process.stdout.write(`${formatSummary(rows, { failed, skipped })}\n`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(flat, undefined, 2)}\n`);
  if (svg !== undefined) writeFileSync(svg, formatChart(rows, machine()));
  return failed.length > 0 || flat.some(({ met }) => !met) ? 1 : 0;
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      only: { type: "string", multiple: true },
      svg: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (!values.help) return values;
  process.stdout.write(usage);
  process.exit(0);
}

async function measureAll(chosen: readonly BenchCase[], plan: Plan) {
  const rows = new Map<BenchCase, Row[]>();
  const failed: string[] = [];
  const skipped: string[] = [];
  const log = (line: string) => void process.stderr.write(`${line}\n`);
  for (const [index, benchCase] of chosen.entries()) {
    log(`[${index + 1}/${chosen.length}] ${benchCase.name}`);
    const outcome = await measureCase(benchCase, plan, log);
    rows.set(benchCase, rowsOf(outcome));
    const full = (subject: string) => `${benchCase.name}: ${subject}`;
    failed.push(...outcome.failed.map(full));
    skipped.push(...outcome.skipped.map(full));
  }
  return { rows, failed, skipped };
}

/** What the figures hold for. */
function machine(): string {
  const [cpu] = cpus();
  const tools = [`Node ${process.versions.node}`, `h2load ${h2load.version ?? "missing"}`];
  return `${cpus().length} × ${cpu?.model ?? "unknown processor"}, ${process.platform} ${release()}, ${tools.join(", ")}`;
}

setTimeout(() => {
  process.stderr.write(`the benchmark is not done after ${wholeRunMs / 60_000} minutes, and gives up\n`);
  process.exit(1); // the children end with their standard input
}, wholeRunMs).unref();

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof TypeError ? `${error.message}\n\n${usage}` : (error as Error).stack}\n`); // or else an Error
  process.exitCode = 2;
}
