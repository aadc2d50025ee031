import type { ConnectError } from "@connectrpc/connect";
import type { Agent, Task, Yield } from "../agent/index.ts";
import type { Spending } from "../contract/index.ts";
import { type AgentEvent, type Due, deadlineExceeded, type Envelope, timers } from "../core/index.ts";
import type { CallerIdentity } from "../identity/index.ts";
import { type Addition, Additions } from "./additions.ts";
import { runAgent } from "./context.ts";
import { Meter } from "./meter.ts";
import type { Host, Work } from "./place.ts";
import type { TaskRecord } from "./record.ts";

/** Who asked for a run, and what it may use. */
export interface RunInit {
  readonly agent: Agent;
  readonly identity: CallerIdentity;
  readonly envelope: Envelope;
  readonly timeoutMs: number;
}

/** One run of a task's agent, until the task settles: what it works under, and the way to end it. */
export class TaskRun implements Work {
  readonly record: TaskRecord;
  readonly agent: Agent;
  /** Who asked for this run. */
  readonly identity: CallerIdentity;
  readonly envelope: Envelope;
  readonly deadlineMs: number;
  readonly #deadline: Due;
  #meter: Meter | undefined;
  #additions: Additions | undefined;
  #over = false;
  #controller: AbortController | undefined;
  #stopped: ConnectError | undefined;

  constructor(record: TaskRecord, { agent, identity, envelope, timeoutMs }: RunInit) {
    this.record = record;
    this.agent = agent;
    this.identity = identity;
    this.envelope = envelope;
    this.deadlineMs = Date.now() + timeoutMs;
    const late = () => record.stop(deadlineExceeded(`the task took longer than its ${Math.round(timeoutMs)} ms`));
    this.#deadline = timers.schedule(timeoutMs, late);
  }

  /** Made when there is something to count. */
  get meter(): Meter {
    this.#meter ??= new Meter(this.envelope);
    return this.#meter;
  }

  /** Made when there is something to add. */
  get additions(): Additions {
    this.#additions ??= new Additions(`${this.record.caller}\n${this.record.id}`);
    return this.#additions;
  }

  /** What it has added; undefined for nothing. */
  get added(): readonly Addition[] | undefined {
    return this.#additions?.all;
  }

  /** What it and all that it called have spent; undefined when it called nobody. */
  get spent(): Pick<Spending, "tokens" | "calls"> | undefined {
    const meter = this.#meter;
    return meter === undefined || meter.calls === 0 ? undefined : { tokens: meter.tokens, calls: meter.calls };
  }

  /** Aborted with the ConnectError that ends the task. Made when somebody asks for it: most agents never do. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#stopped !== undefined) this.#controller.abort(this.#stopped);
    }
    return this.#controller.signal;
  }

  /** True when nothing that the agent still yields counts. */
  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#over = true;
    this.#deadline.cancel();
  }

  abort(error: ConnectError): void {
    this.#stopped = error;
    this.#controller?.abort(error);
  }

  /** Starts the agent. */
  start(task: Task, host: Host): AsyncIterable<Yield> {
    const emit = (event: AgentEvent) => {
      if (!this.#over) this.record.append(event);
    };
    return runAgent({ agent: this.agent, work: this, hops: this.envelope.hops, host, emit }, task);
  }
}
