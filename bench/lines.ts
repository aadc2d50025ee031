import { createInterface } from "node:readline";

/**
 * The child's side of `processes.ts`: says on standard output that it is ready, then answers each line of standard input with one,
 * all in JSON. The end of its input ends the process, so none outlives the benchmark.
 */
export function answerLines<Question>(ready: object, answer: (question: Question) => Promise<object> | object): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    try {
      say(await answer(JSON.parse(line)));
    } catch (error) {
      say({ error: String(error) });
    }
  });
  lines.on("close", () => process.exit());
  say(ready);
}

function say(reply: object): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
