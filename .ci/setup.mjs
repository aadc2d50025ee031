// Makes a fresh clone ready: installs the dependencies and builds, each only when it is missing or out of date.
// Runs before anything is installed, on Node 20 or newer: no dependencies, no TypeScript.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const installMark = join(root, "node_modules/.convoke-installed");
const buildMark = join(root, "dist/.convoke-built");

/** The lock file lists the binaries of this platform alone; elsewhere npm resolves the same exact versions anew. */
const lockCovers = process.platform === "linux" && process.arch === "x64";

const { allowScripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const scripted = Object.keys(allowScripts);

function digest(files) {
  const hash = createHash("sha256");
  for (const file of files)
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(join(root, file)));
  return hash.digest("hex");
}

function sources(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

function marked(mark, value) {
  return existsSync(mark) && readFileSync(mark, "utf8") === value;
}

function run(command, args) {
  execFileSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
}

const wanted = digest(["package.json", ...(lockCovers ? ["package-lock.json"] : [])]);
if (!marked(installMark, wanted)) {
  process.stderr.write("Installing dependencies …\n");
  // Scripts of the few that need theirs, by name: npm below 11 would compile better-sqlite3, which brings its binaries along.
  const lock = lockCovers ? [] : ["--no-package-lock"];
  run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", ...lock]);
  run("npm", ["rebuild", "--loglevel=error", ...scripted]);
  writeFileSync(installMark, digest(["package.json", ...(lockCovers ? ["package-lock.json"] : [])]));
}

const source = digest([
  ...sources("src"),
  ...sources("gen"),
  "package.json",
  "tsconfig.json",
  "tsconfig.build.json",
  "vite.config.ts",
]);
if (!marked(buildMark, source)) {
  process.stderr.write("Building …\n");
  rmSync(join(root, "dist"), { recursive: true, force: true });
  run("npm", ["run", "--silent", "build"]);
  mkdirSync(join(root, "dist"), { recursive: true });
  if (!statSync(join(root, "dist/cli/main.js")).isFile()) throw new Error("the build made no command line");
  writeFileSync(buildMark, source);
}
