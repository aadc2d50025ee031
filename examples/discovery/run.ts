import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

type Child = ChildProcessByStdio<null, Readable, null>;

/** Discover, mutual TLS, call, answer: a registry, an agent and its caller, each a process with a certificate of its own. */
const question = "30 minutes with Ana and Ben next Tuesday";

const folder = mkdtempSync(join(tmpdir(), "convoke-discovery-"));
const children: Child[] = [];
try {
  makeCertificates();
  const registry = await begin("registry").said(/listens at (\S+)/);
  await begin("scheduler", registry).said(/(serves)/);
  const [code] = await once(begin("assistant", registry, question).child, "close");
  process.exitCode = code ?? 1;
} finally {
  const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  const ends = running.map((child) => once(child, "close"));
  for (const child of running) child.kill();
  await Promise.all(ends);
  rmSync(folder, { recursive: true });
}

function makeCertificates(): void {
  const main = fileURLToPath(new URL("cli/main.js", import.meta.resolve("convoke")));
  const certs = (...args: string[]) => execFileSync(process.execPath, [main, "certs", ...args, "--dir", folder]);
  certs("init", "--trust-domain", "example.org");
  for (const name of ["registry", "scheduler", "assistant"]) {
    certs("issue", name);
    print("certs", `proves spiffe://example.org/agent/${name}`);
  }
}

/** Starts a process, and prints what it says. */
function begin(name: string, ...args: string[]) {
  const file = join(import.meta.dirname, `${name}.ts`);
  const child = spawn(process.execPath, [file, folder, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const lines = createInterface(child.stdout).on("line", (line) => print(name, line));
  return {
    child,
    /** Waits until it says that, and gives the group of the pattern. */
    said: (pattern: RegExp) =>
      new Promise<string>((resolve, reject) => {
        lines.on("line", (line) => {
          const [, found] = pattern.exec(line) ?? [];
          if (found !== undefined) resolve(found);
        });
        lines.on("close", () => reject(new Error(`the ${name} has ended`)));
      }),
  };
}

function print(who: string, line: string): void {
  process.stdout.write(`${who.padEnd(10)} ${line}\n`);
}
