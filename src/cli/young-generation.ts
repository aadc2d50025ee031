import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Both its halves together. */
const maxBytes = 32 * 1024 * 1024;

/**
 * Stops the growth of V8's young generation at 32 MiB, for processes that serve. V8 lets it become 64 MiB, and marks the whole heap over and over
 * while the old generation may grow by less than the young one holds, as it may where all of the heap is a few dozen MiB: a registry of 10,000 agents
 * spent a quarter of a processor on that. `--max-semi-space-size`, given to Node, is obeyed.
 */
export function boundYoungGeneration(): void {
  if ([...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].some((flag) => flag.includes("semi-space"))) return;
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
    if (young === undefined || young.space_size < maxBytes) return;
    setFlagsFromString("--semi-space-growth-factor=1"); // read each time that it might grow
    observer.disconnect();
  });
  observer.observe({ entryTypes: ["gc"] });
}
