import type { Replicas } from "./replicas.ts";

/** What a run came to. */
export interface Verdict {
  readonly met: boolean;
  /** The figures, in one line. */
  readonly figures: string;
}

/** One fault that callers must not notice, or no more than promised. */
export interface Fault {
  readonly name: string;
  /** What is done, and what has to come out. */
  readonly title: string;
  /** Takes less than a minute. @param say tells people how it goes. */
  run(replicas: Replicas, say: (line: string) => void): Promise<Verdict>;
}
