import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificates } from "../certificates.ts";
import { createStage } from "../stage.ts";

/**
 * The whole sequence, each process with a certificate of its own: an orchestrator discovers who can plan, both prove who they are, it hands over a task whose
 * context is in a shared thread; the specialist works with its tools; the answer comes back with citations, is verified, and is appended to the thread.
 */
const folder = mkdtempSync(join(tmpdir(), "convoke-sequence-"));
const stage = createStage();
const begin = (name: string, file: string, ...args: string[]) =>
  stage.begin(name, join(import.meta.dirname, file), folder, ...args);
try {
  makeCertificates(folder, ["registry", "specialist", "orchestrator"]);
  const registry = await begin("registry", "../discovery/registry.ts").said(/listens at (\S+)/);
  await begin("specialist", "specialist.ts", registry).said(/(serves)/);
  process.exitCode = (await begin("orchestr.", "orchestrator.ts", registry).ended()) ?? 1;
} finally {
  await stage.clear();
  rmSync(folder, { recursive: true });
}
