import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Actor, createStage } from "./stage.ts";

/** Starts a process of a folder of examples: it is given the folder of the certificates, then the rest. */
type Begin = (module: string, ...args: readonly string[]) => Actor;

/**
 * Plays with processes that prove who they are. Each is named as its module, and has a certificate of that name, in a folder that is gone afterwards.
 *
 * @param play gives the exit code of the whole example.
 */
export async function playSecurely(names: readonly string[], play: (begin: Begin) => Promise<number | null>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "convoke-example-"));
  const stage = createStage(Math.max(...names.map((name) => name.length)));
  try {
    for (const id of makeCertificates(folder, names)) stage.print("certs", `proves ${id}`);
    const begin: Begin = (module, ...args) =>
      stage.begin(basename(module), join(import.meta.dirname, `${module}.ts`), folder, ...args);
    process.exitCode = (await play(begin)) ?? 1;
  } finally {
    await stage.clear();
    rmSync(folder, { recursive: true });
  }
}

function* makeCertificates(folder: string, names: readonly string[]) {
  const main = fileURLToPath(new URL("cli/main.js", import.meta.resolve("convoke")));
  const certs = (...args: string[]) => execFileSync(process.execPath, [main, "certs", ...args, "--dir", folder]);
  certs("init", "--trust-domain", "example.org");
  for (const name of names) {
    certs("issue", name);
    yield `spiffe://example.org/agent/${name}`;
  }
}
