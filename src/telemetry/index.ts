export { createLogger, type LogOptions } from "./log.ts";
