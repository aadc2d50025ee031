import { type DestinationStream, type Level, type Logger, pino } from "pino";
import { build as pretty } from "pino-pretty";

export interface LogOptions {
  /** The least severe level to write. Default `info`. */
  readonly level?: Level | "silent";
  /** `json` for machines, `pretty` for people. Default: pretty where stderr is a terminal. */
  readonly format?: "json" | "pretty";
}

/** Header and field names whose values never reach a log. */
const secretPaths = ["authorization", "cookie", "*.authorization", "*.cookie"];

/**
 * Creates a structured logger that writes to stderr, so that stdout stays free for a program's own output.
 *
 * What Convoke logs are names, ids, codes and durations: never message bodies, metadata values or credentials.
 */
export function createLogger(options: LogOptions = {}): Logger {
  const { level = "info", format = process.stderr.isTTY ? "pretty" : "json" } = options;
  const destination: DestinationStream =
    format === "pretty"
      ? pretty({ destination: 2, sync: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss" })
      : pino.destination({ dest: 2, sync: true });
  return pino({ level, redact: secretPaths }, destination);
}
