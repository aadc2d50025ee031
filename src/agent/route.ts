import type { LanguageModel } from "ai";
import { askBounds, internal } from "../core/index.ts";
import type { Task } from "./define.ts";
import { chooseByModel } from "./model-choice.ts";

/** One way that a task can go. What else belongs to it, such as a handle or a capability, comes back with it. */
export interface Route {
  /** What `choose` and `otherwise` name it by. Several rules may have one name. */
  readonly name: string;
  /** The rule that it is chosen by: a pattern in the first 4,096 characters of the task's content, or a function. Without one only its name leads to it. */
  readonly when?: RegExp | ((task: Task) => boolean);
  /** What it is for: a model that chooses reads it. */
  readonly description?: string;
}

export interface RouteOptions<R extends Route> {
  /**
   * Chooses by name, instead of the rules: a function, where undefined says that none fits, or a model of the AI SDK. A model is told the names,
   * the descriptions and the task; what it replies with, if that is no route's name, says that none fits.
   */
  readonly choose?: LanguageModel | ((task: Task, routes: readonly R[]) => Promise<string | undefined> | string | undefined);
  /** Ends a model's choice. */
  readonly signal?: AbortSignal;
  /** The route that is taken when none fits, by name. */
  readonly otherwise?: string;
}

/**
 * The route that a task takes: the first whose rule it fits, or the one that `choose` names; else `otherwise`, or undefined.
 *
 * @throws ConnectError INTERNAL, saying what routes there are, when a name is none of theirs; what a model fails with, as `modelAgent` says; what
 *   `choose` and the rules throw.
 */
export async function route<const R extends Route>(
  task: Task,
  routes: readonly R[],
  options: RouteOptions<R> & { readonly otherwise: string },
): Promise<R>;
export async function route<const R extends Route>(
  task: Task,
  routes: readonly R[],
  options?: RouteOptions<R>,
): Promise<R | undefined>;
export async function route<const R extends Route>(
  task: Task,
  routes: readonly R[],
  options: RouteOptions<R> = {},
): Promise<R | undefined> {
  const chosen = await choiceOf(task, routes, options);
  if (typeof chosen === "object") return chosen;
  const name = chosen ?? options.otherwise;
  return name === undefined ? undefined : routeNamed(name, routes);
}

async function choiceOf<R extends Route>(task: Task, routes: readonly R[], { choose, signal }: RouteOptions<R>) {
  if (choose === undefined) return routes.find(({ when }) => fits(task, when));
  return typeof choose === "function" ? await choose(task, routes) : await chooseByModel(choose, { task, routes, signal });
}

/** Patterns with the flag "g" remember where they were; `search` does not look at it. */
function fits(task: Task, when: Route["when"]): boolean {
  if (typeof when === "function") return when(task);
  return when !== undefined && task.content.slice(0, askBounds.maxMatchedChars).search(when) !== -1;
}

function routeNamed<R extends Route>(name: string, routes: readonly R[]): R {
  const found = routes.find((each) => each.name === name);
  if (found !== undefined) return found;
  const names = [...new Set(routes.map((each) => each.name))].join(", ");
  throw internal(`there is no route ${JSON.stringify(name)}; the routes are ${names}`);
}
