import { join } from "node:path";
import { root, startProgram } from "./support/process.ts";

const runner = join(root, "examples/run.ts");

test("discovery: an agent is found, proves who it is, is called and answers, in three processes", async () => {
  const { code, stdout, stderr } = await startProgram([process.execPath, runner, "discovery"]).exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const id = "spiffe://example.org/agent";
  const steps = [
    `certs      proves ${id}/assistant`,
    "registry   listens at https://127.0.0.1:",
    "scheduler  serves schedule at https://127.0.0.1:",
    "assistant  discovers schedule at https://127.0.0.1:",
    `assistant  expects it to prove ${id}/scheduler, and to serve contract `,
    "assistant  asks: 30 minutes with Ana and Ben next Tuesday",
    `scheduler  is asked by ${id}/assistant, proven by mtls`,
    "assistant  is answered: 30 minutes with Ana and Ben, Tue ",
    "assistant  with the source calendars/ana.ics: ",
  ];
  const found = steps.map((step) => stdout.indexOf(step));
  expect(found).not.toContain(-1);
  expect(found).toEqual(found.toSorted((one, other) => one - other)); // each after those before
});

test("an example that there is not: the names of those that there are", async () => {
  const { code, stderr } = await startProgram([process.execPath, runner, "nothing"]).exit;
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("The examples are: discovery") });
});
