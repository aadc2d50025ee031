import { join } from "node:path";
import { root, startProgram } from "./support/process.ts";
import { expectSteps } from "./support/steps.ts";

const runner = join(root, "examples/run.ts");

test("discovery: an agent is found, proves who it is, is called and answers, in three processes", async () => {
  const { code, stdout, stderr } = await startProgram([process.execPath, runner, "discovery"]).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const id = "spiffe://example.org/agent";
  const steps = [
    `certs     proves ${id}/assistant`,
    "registry  listens at https://127.0.0.1:",
    "scheduler serves schedule at https://127.0.0.1:",
    "assistant discovers schedule at https://127.0.0.1:",
    `assistant expects it to prove ${id}/scheduler, and to serve contract `,
    "assistant asks: 30 minutes with Ana and Ben next Tuesday",
    `scheduler is asked by ${id}/assistant, proven by mtls`,
    "assistant is answered: 30 minutes with Ana and Ben, Tue ",
    "assistant with the source calendars/ana.ics: ",
  ];
  expectSteps(stdout, steps);
});

test("resume: an answer goes on when its connection is cut and when its server is killed, or its failure is told", async () => {
  const { code, stdout, stderr } = await startProgram([process.execPath, runner, "resume"]).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1).join(" ");
  const [, cut = "", killed = "", failed = ""] = stdout.split(/\n\n.*\n/);
  expectSteps(cut, [
    `caller     has ${upTo(20)}\n`,
    "wire       is cut",
    "caller     is cut off, and asks for event ",
    `caller     has the whole answer, of 61 events none is missing and none came twice: ${upTo(60)}`,
  ]);
  expect(cut).not.toContain("begins anew");
  expectSteps(killed, [
    "server     was killed",
    "caller     hears that the agent begins anew, and forgets events 0 to ",
    `caller     has ${upTo(20)}\n`,
    "caller     has the whole answer, of ",
  ]);
  expect(killed).toContain(`none came twice: ${upTo(60)}`);
  expectSteps(failed, [
    "server     was killed",
    "caller     fails: [unavailable] the server that ran task ",
    "caller     finds the task as it ended: ERROR, with ",
  ]);
}, 90_000); // a server that is killed may be taken for one that lives for six seconds

test("an example that there is not: the names of those that there are", async () => {
  const { code, stderr } = await startProgram([process.execPath, runner, "nothing"]).exit;
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: expect.stringContaining("The examples are: discovery, resume, sequence"),
  });
});
