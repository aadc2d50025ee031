export { type Agents, type ConnectOptions, connect } from "./connect.ts";
export type { Chat, ConverseOptions } from "./converse.ts";
