import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Bytes that this process holds after a garbage collection, on its heap and beside it; what the operating system buffers is not in it. */
export function heldBytes(): number {
  collect();
  collect(); // the memory of buffers is given back beside the program, and that is over when the next collection begins
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
