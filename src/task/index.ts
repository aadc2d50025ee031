export type { Caller } from "./caller.ts";
export { converse } from "./converse.ts";
export { describeTask } from "./description.ts";
export type { Keeping } from "./kept-tasks.ts";
export { processTask, streamTask } from "./projections.ts";
export type { AgentsElsewhere } from "./remote.ts";
export { drainingError, TaskRuntime } from "./runtime.ts";
export { validatePage, validateTaskId } from "./validate.ts";
