import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { root } from "./support/process.ts";

const run = promisify(execFile);

test("the code of docs/agents.md is what TypeScript takes", async () => {
  const text = readFileSync(join(root, "docs/agents.md"), "utf8");
  const pieces = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
  expect(pieces.length).toBeGreaterThan(2);
  mkdirSync(join(root, ".cache"), { recursive: true });
  const folder = mkdtempSync(join(root, ".cache/docs-")); // within the package, so that "convoke" is the package itself
  try {
    for (const [index, code] of pieces.entries()) writeFileSync(join(folder, `piece-${index}.ts`), code);
    const config = { extends: join(root, "tsconfig.json"), compilerOptions: { noEmit: true }, include: [`${folder}/*.ts`] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], { cwd: root });
    await expect(tsc).resolves.toMatchObject({ stdout: "" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
