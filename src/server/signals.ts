const signals = ["SIGTERM", "SIGINT"] as const;

/** Calls `close` on the first SIGTERM or SIGINT and then exits 0; a second one exits at once, as an impatient operator wants. */
export function closeOnSignals(close: () => Promise<void>): void {
  const exitAtOnce = (signal: NodeJS.Signals) => process.exit(signal === "SIGINT" ? 130 : 143);
  const onSignal = () => {
    for (const signal of signals) {
      process.off(signal, onSignal);
      process.on(signal, exitAtOnce);
    }
    void close().then(() => process.exit(0));
  };
  for (const signal of signals) process.on(signal, onSignal);
}
