import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client, CallOptions as ConnectCallOptions, ConnectError } from "@connectrpc/connect";
import type { AgentService, TaskRequestSchema, TaskResponse, TokenChunk } from "../contract/index.ts";
import type { guardCall } from "../guardrail/index.ts";
import { type CallDefaults, type CallOptions, callOptionsOf } from "./call-options.ts";
import { resumingAnswer, resumingStream } from "./resume.ts";

/** What is known of a transport, and what calls over it can do. */
export interface TransportTraits {
  /**
   * True for what a call failed with when its connection broke after it had been sent. Default: nobody knows, and a call of which nothing has
   * arrived is not made again.
   */
  readonly isCutOff?: (error: ConnectError) => boolean;
  /**
   * True for what a call failed with when its response was ended without an outcome, as proxies do. Such a call is made again, a few times. Default: nobody
   * knows, and it is not.
   */
  readonly isCutShort?: (error: ConnectError) => boolean;
  /** Runs guardrails. Default: calls that have some fail with a TypeError. */
  readonly guard?: typeof guardCall;
}

type TaskRequestInit = MessageInitShape<typeof TaskRequestSchema>;

interface TaskCallInit {
  readonly request: TaskRequestInit;
  readonly options: CallOptions;
  readonly defaults: CallDefaults;
  readonly traits: TransportTraits;
}

/** One task asked for by its id, again and again while calls are cut off; stopped when its caller has had enough. */
export class TaskCall {
  readonly #client: Client<typeof AgentService>;
  readonly #init: TaskCallInit;
  readonly #reader = new AbortController();
  readonly #signal: AbortSignal;

  constructor(client: Client<typeof AgentService>, init: TaskCallInit) {
    this.#client = client;
    this.#init = init;
    const { signal } = init.options;
    this.#signal = signal === undefined ? this.#reader.signal : AbortSignal.any([signal, this.#reader.signal]);
  }

  async answer(): Promise<TaskResponse> {
    const { request } = this.#init;
    let isOver = false;
    try {
      const answer = await resumingAnswer(
        (timeoutMs) => this.#client.processTask(request, this.#wire(timeoutMs)),
        this.#resume,
      );
      isOver = true;
      return answer;
    } finally {
      if (!isOver && this.#signal.aborted) this.#stop();
    }
  }

  /** Connect's streams have no `return`, so a reader that leaves early would leave the call running. */
  async *stream(): AsyncGenerator<TokenChunk, void, undefined> {
    const { request } = this.#init;
    const { taskId = "" } = request;
    let isLeft = true;
    try {
      yield* resumingStream(({ fromIndex, hasBegun, timeoutMs }) => {
        const asked = hasBegun ? { taskId, fromIndex, detached: request.detached ?? false } : request;
        return this.#client.streamResponse(asked, this.#wire(timeoutMs));
      }, this.#resume);
      isLeft = false;
    } catch (thrown) {
      isLeft = this.#signal.aborted;
      throw thrown;
    } finally {
      if (isLeft) this.#stop();
      this.#reader.abort();
    }
  }

  get #resume() {
    const { request, options, defaults, traits } = this.#init;
    const { taskId = "", fromIndex = 0 } = request;
    const { timeoutMs = defaults.timeoutMs, onResume = defaults.onResume } = options;
    const { resumeForMs = defaults.resumeForMs ?? defaultResumeForMs } = options;
    return {
      taskId,
      fromIndex,
      timeoutMs,
      onResume,
      patienceMs: resumeForMs,
      signal: this.#signal,
      isCutOff: traits.isCutOff ?? (() => false),
      isCutShort: traits.isCutShort ?? (() => false),
    };
  }

  #wire(timeoutMs: number | undefined): ConnectCallOptions {
    const { options, defaults } = this.#init;
    return callOptionsOf({ ...options, timeoutMs: timeoutMs ?? 0, signal: this.#signal }, defaults); // 0: none, whatever the default is
  }

  /** Tells the server: where HTTP/1.1 or a proxy is between, the end of the call alone looks like a connection that broke. */
  #stop(): void {
    const { request, options, defaults } = this.#init;
    if (request.detached === true) return;
    const { signal: _, timeoutMs: __, ...rest } = options;
    const wire = callOptionsOf({ ...rest, timeoutMs: stopTimeoutMs }, defaults);
    this.#client.cancelTask({ taskId: request.taskId ?? "", leaving: true }, wire).catch(() => {}); // it is abandoned in its time
  }
}

const stopTimeoutMs = 10_000;

/** As long as a server keeps a task whose callers are gone. */
const defaultResumeForMs = 60_000;
