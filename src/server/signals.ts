import type { Server } from "./serve.ts";

const signals = ["SIGTERM", "SIGINT"] as const;

/** Closes the server on the first SIGTERM or SIGINT and exits 0; a second one exits at once, as an impatient operator wants. */
export function closeOnSignals(server: Server): void {
  const exitAtOnce = (signal: NodeJS.Signals) => process.exit(signal === "SIGINT" ? 130 : 143);
  const close = () => {
    for (const signal of signals) {
      process.off(signal, close);
      process.on(signal, exitAtOnce);
    }
    void server.close().then(() => process.exit(0));
  };
  for (const signal of signals) process.on(signal, close);
}
