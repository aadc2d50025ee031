import { join } from "node:path";
import { type Answer, begin, calling, finish, saying, send, startModel } from "./support/model-server.ts";
import { root, startProgram } from "./support/process.ts";
import { expectSteps } from "./support/steps.ts";

const example = [process.execPath, join(root, "examples/run.ts"), "sequence"];
const id = "spiffe://example.org/agent";
const wish = "Ana would like to meet at half past three (UTC) or later on 1 December.";
const free = { from: "2026-12-01T15:30:00Z", to: "2026-12-01T16:00:00Z" };
const nextSteps = [
  `orchestrator sees it return: {"from":"${free.from}","to":"${free.to}"}`,
  `orchestrator hears: ${free.from} to ${free.to} suits Ana and Ben.`,
];

test("sequence: found with its contract, proven, asked in context, verified and remembered, in three processes", async () => {
  const { code, stdout, stderr } = await startProgram(example, { env: { CONVOKE_MODEL: undefined } }).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const [used = "", refused = ""] = stdout.split(/(?=orchestrator asks: 30 minutes with Chloe)/);
  expectSteps(used, [
    'orchestrator discovers "schedule": scheduler at https://127.0.0.1:',
    "orchestrator has its contract ",
    "which lacks nothing of agent.v1.AgentService",
    `orchestrator shakes hands as ${id}/orchestrator with ${id}/specialists`,
    `orchestrator appends to thread launch as context: #0 ${wish}`,
    "orchestrator asks: 30 minutes with Ana and Ben on 2026-12-01, with thread launch",
    'orchestrator sees it call read_calendar {"person":"Ana","day":"2026-12-01"}',
    'orchestrator sees it call read_calendar {"person":"Ben","day":"2026-12-01"}',
    'orchestrator sees it return: {"uri":"calendars/',
    'orchestrator sees it call find_free_time {"minutes":30,',
    ...nextSteps,
    `orchestrator is given the source memory:launch#0: ${wish}`,
    "orchestrator is given the source calendars/ana.ics: DTSTART;",
    "orchestrator is given the source calendars/ben.ics: DTSTART;",
    "orchestrator has the result, after ",
    "orchestrator checks citesItsSources: pass",
    "orchestrator checks noSecrets: pass",
    "orchestrator checks allowsTools: pass",
    "orchestrator appends the answer to thread launch: #2 ",
  ]);
  expect(used).toContain(`specialists  is asked by ${id}/orchestrator, proven by mtls`);
  expectSteps(refused, [
    "orchestrator has the result, after ",
    ...refusal("2026-12-03T09:00:00Z to 2026-12-03T09:30:00Z suits Chloe."),
  ]);
  expectThread(stdout, ["wish", "proposal", "decision", "proposal"]);
});

test("sequence: the same tools and checks under a model that the environment names", async () => {
  const read = (person: string, day: string) => [person, "read_calendar", JSON.stringify({ person, day })] as const; // a call
  const busy = { from: "2026-12-01T14:00:00Z", to: "2026-12-01T15:00:00Z" };
  const question = { minutes: 30, windows: [{ from: free.from, to: "2026-12-01T16:00:00Z" }], busy: [busy] };
  const sayingAndCiting: Answer = (response) => {
    begin(response);
    send(response, { content: `${free.from} to ${free.to} suits Ana and Ben.` });
    const citing = {
      name: "cite",
      arguments: JSON.stringify({ quote: "DTSTART;TZID=Europe/Berlin:20250107T150000", uri: "calendars/ana.ics" }),
    };
    send(response, { tool_calls: [{ index: 0, id: "c", type: "function", function: citing }] });
    finish(response, "tool_calls");
  };
  const { asked, baseURL } = await startModel(
    calling(read("Ana", "2026-12-01"), read("Ben", "2026-12-01")),
    calling(["f", "find_free_time", JSON.stringify(question)]),
    sayingAndCiting,
    saying(" "),
    calling(read("Chloe", "2026-12-03")),
    saying("Chloe is free all day."),
  );
  const env = { CONVOKE_MODEL: "scripted/one", CONVOKE_MODEL_URL: baseURL };
  const { code, stdout, stderr } = await startProgram(example, { env }).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expectSteps(stdout, [
    'orchestrator sees it call read_calendar {"person":"Ana","day":"2026-12-01"}',
    ...nextSteps,
    "orchestrator is given the source calendars/ana.ics: DTSTART;",
    "orchestrator checks allowsTools: pass",
    "orchestrator appends the answer to thread launch: #2 ",
    ...refusal("Chloe is free all day."),
  ]);
  expect(stdout).toMatch(/orchestrator is told of \d+ \+ \d+ tokens\n/);
  expect(JSON.stringify(asked[0]?.messages)).toContain(wish);
  expectThread(stdout, ["wish", "proposal", "decision", "proposal"]);
});

function refusal(claim: string): string[] {
  return [
    `orchestrator checks citesItsSources: block, "${claim}" has no citation`,
    `orchestrator does not use the answer (FailedPrecondition), citesItsSources refuses it: "${claim}" has no citation`,
  ];
}

/** What was remembered, and that the hash told when it was appended is the one in the chain. */
function expectThread(output: string, kinds: readonly string[]): void {
  const entries = [...output.matchAll(/reads #(\d+) (\w+) ([0-9a-f]{64}): /g)].map(([, number, kind, hash]) => ({
    number,
    kind,
    hash,
  }));
  expect(entries.map(({ number, kind }) => `${number} ${kind}`)).toEqual(kinds.map((kind, number) => `${number} ${kind}`));
  expect(output).toContain(`appends the answer to thread launch: #2 ${entries[2]?.hash}\n`);
  expect(output).toContain(`verifies the chain of ${kinds.length} entries: it ends with ${entries.at(-1)?.hash}\n`);
}
