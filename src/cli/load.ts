import { statSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Agent, isAgent } from "../agent/index.ts";
import { isCode, UsageError } from "./failure.ts";
import { ModuleError } from "./module-error.ts";

/**
 * The agents of all files, in their order.
 *
 * @throws UsageError when a file is none, holds no agent, or names an agent as another one does; ModuleError when a module throws.
 */
export async function loadAgents(files: readonly string[]): Promise<Agent[]> {
  const modules = await Promise.all(files.map(async (file) => ({ file, agents: await loadFile(file) })));
  const fileOf = new Map<string, string>();
  for (const { file, agents } of modules) {
    for (const { name } of agents) {
      const other = fileOf.get(name);
      if (other !== undefined)
        throw new UsageError(`two agents are named "${name}", one in ${other} and one in ${file}; rename one`);
      fileOf.set(name, file);
    }
  }
  return modules.flatMap(({ agents }) => agents);
}

/** A module's agents: its default export, an agent or an array of agents, or else its named exports that are agents. */
async function loadFile(file: string): Promise<Agent[]> {
  const path = resolve(file);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new UsageError(`there is no file ${file}`);
  if (stat.isDirectory()) throw new UsageError(`${file} is a folder; name the modules in it`);
  const exported = await importModule(path, file);
  const main = exported["default"];
  const candidates = main === undefined ? Object.values(exported).filter(isAgent) : [main].flat();
  if (candidates.length > 0 && candidates.every(isAgent)) return candidates;
  const what = Array.isArray(main) && main.length > 0 ? "something else than agents in its default export" : "no agent";
  throw new UsageError(`${file} exports ${what}; write export default defineAgent({ name: "…", async *run(task) { … } })`);
}

async function importModule(path: string, file: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(path).href);
  } catch (thrown) {
    if (isCode(thrown, "ERR_UNKNOWN_FILE_EXTENSION") && /\.[cm]?tsx?$/.test(file)) {
      throw new UsageError(`this Node (${process.version}) cannot load ${file}; TypeScript needs Node 22.18 or newer`);
    }
    throw new ModuleError(file, thrown);
  }
}
