import type { Processes } from "./processes.ts";
import type { Replicas } from "./replicas.ts";

/** What a run came to. */
export interface Verdict {
  readonly met: boolean;
  /** The figures, in one line. */
  readonly figures: string;
  /** True when nothing was done: the figures say why. Default false. */
  readonly isSkipped?: boolean;
}

/** What a run is made of: nothing is started before it is asked for, and all is ended with the run. */
export interface Run {
  readonly replicas: Replicas;
  /** For processes of other kinds. */
  readonly processes: Processes;
  /** Tells people how it goes. */
  say(line: string): void;
}

/** One fault that callers must not notice, or no more than promised. */
export interface Fault {
  readonly name: string;
  /** What is done, and what has to come out. */
  readonly title: string;
  /** How long it may take. Default: a minute. */
  readonly boundMs?: number;
  run(run: Run): Promise<Verdict>;
}
