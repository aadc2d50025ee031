import { existsSync } from "node:fs";
import { relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Agent, isAgent } from "../agent/index.ts";
import { UsageError } from "./failure.ts";

/**
 * The agents of a module: its default export, an agent or an array of agents, or else its named exports that are agents.
 *
 * @throws UsageError when there is no such file, or no agent in it; whatever the module throws.
 */
export async function loadAgents(file: string): Promise<Agent[]> {
  const path = resolve(file);
  if (!existsSync(path)) throw new UsageError(`there is no file ${file}`);
  const exported: Record<string, unknown> = await importModule(path, file);
  const candidates = exported["default"] === undefined ? Object.values(exported) : [exported["default"]].flat();
  const agents = candidates.filter(isAgent);
  if (agents.length > 0) return agents;
  throw new UsageError(`${file} exports no agent; write export default defineAgent({ name: "…", async *run(task) { … } })`);
}

async function importModule(path: string, file: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(path).href);
  } catch (thrown) {
    if (isCode(thrown, "ERR_UNKNOWN_FILE_EXTENSION")) {
      throw new UsageError(`this Node (${process.version}) cannot load ${file}; TypeScript needs Node 22.18 or newer`);
    }
    throw new Error(
      `${relative(process.cwd(), path)} could not be loaded: ${thrown instanceof Error ? thrown.message : thrown}`,
      {
        cause: thrown,
      },
    );
  }
}

function isCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === code;
}
