import { Code } from "@connectrpc/connect";
import type { Logger } from "pino";
import { RegistryService } from "../contract/index.ts";
import { codeName, type FinishedCall } from "../wire/index.ts";

/** Calls that come from every agent every few seconds: told as debug, unless they fail. */
const frequent = new Set([`${RegistryService.typeName}/${RegistryService.method.renew.name}`]);

/** One log line a call: method, protocol, peer, code, duration; never bodies or metadata. */
export function createCallLog(log: Logger): (call: FinishedCall) => void {
  return (call) => {
    const { error } = call;
    const failed = error?.code === Code.Internal || error?.code === Code.Unknown;
    if (!log.isLevelEnabled(failed ? "error" : "info")) return;
    const { exchange, procedure, durationMs } = call;
    const level = failed ? "error" : error === undefined && frequent.has(procedure) ? "debug" : "info";
    if (!log.isLevelEnabled(level)) return;
    const line = {
      rpc: procedure,
      type: exchange.headers.get("content-type") ?? "",
      peer: exchange.peerAddress,
      code: error === undefined ? "ok" : codeName(error.code),
      ms: Math.round(durationMs),
    };
    if (failed) log.error({ ...line, err: error.cause ?? error }, "call");
    else log[level](line, "call");
  };
}
