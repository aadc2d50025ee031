import { readdirSync } from "node:fs";

/** Examples that run by themselves are folders with a `run.ts`. */
const names = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })
  .flatMap((path) => /^([^/\\]+)[/\\]run\.ts$/.exec(path)?.[1] ?? [])
  .sort();

const [name = ""] = process.argv.slice(2);
if (names.includes(name)) await import(`./${name}/run.ts`);
else {
  process.stderr.write(`Usage: npm run example -- NAME\nThe examples are: ${names.join(", ")}\n`);
  process.exitCode = 2;
}
