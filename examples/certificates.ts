import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What this process proves who it is with, and whom it trusts; from the folder that its first argument names. */
export function certificatesOf(name: string) {
  const [folder = ""] = process.argv.slice(2);
  const read = (file: string) => readFileSync(join(folder, file), "utf8");
  const own = { cert: read(`${name}.crt`), key: read(`${name}.key`) };
  const authority = read("ca.crt");
  return { server: { ...own, clientCa: authority }, client: { ...own, ca: authority } };
}

/** Makes an authority, and a certificate for each of the names, as `convoke certs` does. */
export function makeCertificates(folder: string, names: readonly string[]): void {
  const main = fileURLToPath(new URL("cli/main.js", import.meta.resolve("convoke")));
  const certs = (...args: string[]) => execFileSync(process.execPath, [main, "certs", ...args, "--dir", folder]);
  certs("init", "--trust-domain", "example.org");
  for (const name of names) certs("issue", name);
}
