import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client, CallOptions as ConnectCallOptions, ConnectError } from "@connectrpc/connect";
import type { AgentService, TaskRequestSchema, TaskResponse, TokenChunk } from "../contract/index.ts";
import { type CallDefaults, type CallOptions, callOptionsOf } from "./call-options.ts";
import { resumingAnswer, resumingStream } from "./resume.ts";

/** What is known of a transport. */
export interface TransportTraits {
  /**
   * True when a server cannot tell a caller that leaves a call from one whose connection breaks, so that it has to be told by CancelTask.
   * Default false: HTTP/2 resets streams.
   */
  readonly cancelsByCall?: boolean;
  /**
   * True for what a call failed with when its connection broke after it had been sent. Default: nobody knows, and a call of which nothing has
   * arrived is not made again.
   */
  readonly isCutOff?: (error: ConnectError) => boolean;
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
  /** A call of it is open: to end that stops the task, where the transport can tell. */
  #isOpen = false;

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
        (timeoutMs) => this.#open(() => this.#client.processTask(request, this.#wire(timeoutMs))),
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
        return this.#hold(this.#client.streamResponse(asked, this.#wire(timeoutMs)));
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
    const { timeoutMs, onResume, resumeForMs = defaultResumeForMs } = { ...defaults, ...options };
    return {
      taskId,
      fromIndex,
      timeoutMs,
      onResume,
      patienceMs: resumeForMs,
      signal: this.#signal,
      isCutOff: traits.isCutOff ?? (() => false),
    };
  }

  #wire(timeoutMs: number | undefined): ConnectCallOptions {
    const { options, defaults } = this.#init;
    return callOptionsOf({ ...options, timeoutMs: timeoutMs ?? 0, signal: this.#signal }, defaults); // 0: none, whatever the default is
  }

  /** Notes whether a call is open, up to the signal's end. */
  async #open<T>(call: () => Promise<T>): Promise<T> {
    this.#isOpen = true;
    try {
      return await call();
    } finally {
      if (!this.#signal.aborted) this.#isOpen = false;
    }
  }

  async *#hold<T>(messages: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    this.#isOpen = true;
    try {
      for await (const message of messages) yield message;
      this.#isOpen = false;
    } catch (thrown) {
      if (!this.#signal.aborted) this.#isOpen = false;
      throw thrown;
    }
  }

  /** Tells the server where the end of the call does not. */
  #stop(): void {
    const { request, options, defaults, traits } = this.#init;
    if (request.detached === true || (this.#isOpen && traits.cancelsByCall !== true)) return;
    const { signal: _, timeoutMs: __, ...rest } = options;
    const wire = callOptionsOf({ ...rest, timeoutMs: stopTimeoutMs }, defaults);
    this.#client.cancelTask({ taskId: request.taskId ?? "" }, wire).catch(() => {}); // it is abandoned in its time
  }
}

const stopTimeoutMs = 10_000;

/** As long as a server keeps a task whose callers are gone. */
const defaultResumeForMs = 60_000;
