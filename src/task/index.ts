export { converse } from "./converse.ts";
export { processTask, streamTask } from "./projections.ts";
export type { FindElsewhere } from "./remote.ts";
export { type Caller, drainingError, TaskRuntime } from "./runtime.ts";
export { validateTaskId } from "./validate.ts";
