import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A file of a bundle. */
export interface Chunk {
  readonly code: string;
  readonly imports: readonly string[];
}

/**
 * Runs in a Node of its own, because Vite's native bundler refuses objects that were made inside Jest's VM. Vite leaves the
 * white space in a library; the application that bundles it takes it out, as the output's own `minify` does here.
 */
const buildScript = `
  import { build } from "vite";
  const lib = { entry: process.argv[1], formats: ["es"], fileName: "web" };
  const rolldownOptions = { output: { minify: true } };
  const [{ output }] = await build({
    configFile: false, envFile: false, publicDir: false, logLevel: "silent",
    build: { write: false, minify: true, lib, rolldownOptions },
  });
  console.log(JSON.stringify(output.map(({ code, imports, dynamicImports }) => ({ code, imports: [...imports, ...dynamicImports] }))));
`;

/** Bundles `convoke/web` as an application does. */
export async function bundleWeb(): Promise<Chunk[]> {
  const entry = fileURLToPath(new URL("../../src/web/index.ts", import.meta.url));
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const flags = ["--input-type=module", "--eval", buildScript, entry];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd, maxBuffer: 8 * 1024 * 1024, timeout: 30_000 });
  return JSON.parse(stdout);
}
