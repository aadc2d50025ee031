import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificates } from "../certificates.ts";
import { createStage } from "../stage.ts";

/** Discover, mutual TLS, call, answer: a registry, an agent and its caller, each a process with a certificate of its own. */
const question = "30 minutes with Ana and Ben next Tuesday";

const folder = mkdtempSync(join(tmpdir(), "convoke-discovery-"));
const stage = createStage();
const begin = (name: string, ...args: string[]) => stage.begin(name, join(import.meta.dirname, `${name}.ts`), folder, ...args);
try {
  const names = ["registry", "scheduler", "assistant"];
  makeCertificates(folder, names);
  for (const name of names) stage.print("certs", `proves spiffe://example.org/agent/${name}`);
  const registry = await begin("registry").said(/listens at (\S+)/);
  await begin("scheduler", registry).said(/(serves)/);
  process.exitCode = (await begin("assistant", registry, question).ended()) ?? 1;
} finally {
  await stage.clear();
  rmSync(folder, { recursive: true });
}
