import { Code } from "@connectrpc/connect";
import type { Logger } from "pino";
import { codeName, type FinishedCall } from "../wire/index.ts";

/** One log line a call: method, protocol, peer, code, duration; never bodies or metadata. */
export function createCallLog(log: Logger): (call: FinishedCall) => void {
  return (call) => {
    const { error } = call;
    const failed = error?.code === Code.Internal || error?.code === Code.Unknown;
    if (!log.isLevelEnabled(failed ? "error" : "info")) return;
    const { exchange, procedure, durationMs } = call;
    const line = {
      rpc: procedure,
      type: exchange.headers.get("content-type") ?? "",
      peer: exchange.peerAddress,
      code: error === undefined ? "ok" : codeName(error.code),
      ms: Math.round(durationMs),
    };
    if (failed) log.error({ ...line, err: error.cause ?? error }, "call");
    else log.info(line, "call");
  };
}
