import { Status, type TaskResponse, type TokenChunk } from "../contract/index.ts";
import type { AgentCalls, CallDefaults, TaskInput } from "../web/index.ts";
import type { TaskCallOptions } from "./task-call-options.ts";
import { ToolRounds, type ToolRoundsInit } from "./tool-rounds.ts";

/** The calls for a task, by a caller that may run tools for its agent. */
export interface TaskCalls {
  /** As {@link AgentCalls.process}, while {@link TaskCallOptions.tools} run here. */
  process(task: TaskInput, options?: TaskCallOptions): Promise<TaskResponse>;
  /** As {@link AgentCalls.stream}, while {@link TaskCallOptions.tools} run here: one stream over all rounds, of which the last chunk alone is final. */
  stream(task: TaskInput, options?: TaskCallOptions): AsyncIterable<TokenChunk>;
}

export function withCallerTools(calls: AgentCalls, defaults: CallDefaults): TaskCalls {
  return {
    process: (task, options = {}) =>
      options.tools?.length ? processRounds(task, { calls, defaults, options }) : calls.process(task, options),
    stream: (task, options = {}) =>
      options.tools?.length ? streamRounds(task, { calls, defaults, options }) : calls.stream(task, options),
  };
}

async function processRounds(task: TaskInput, init: ToolRoundsInit): Promise<TaskResponse> {
  const { calls } = init;
  const rounds = new ToolRounds(task, init);
  let answer = await calls.process(rounds.first, rounds.options);
  for (let open = rounds.open(answer); open !== undefined; open = rounds.open(answer)) {
    const { taskId } = answer;
    const toolResults = await rounds.results(open, answer).catch((thrown) => {
      rounds.leave(taskId);
      throw thrown;
    });
    answer = await calls.process(rounds.again(taskId, { toolResults }), rounds.options);
  }
  return answer;
}

async function* streamRounds(task: TaskInput, init: ToolRoundsInit): AsyncGenerator<TokenChunk, void, undefined> {
  const { calls } = init;
  const rounds = new ToolRounds(task, init);
  let request = rounds.first;
  for (;;) {
    const last = yield* untilItWaits(calls.stream(request, rounds.options));
    if (last === undefined) return;
    const { taskId, index } = last;
    let isLeft = true;
    try {
      const answer = await calls.process(rounds.again(taskId), rounds.options); // which calls wait: a stream may begin after them
      const open = rounds.open(answer);
      isLeft = open !== undefined;
      if (!isLeft && answer.status === Status.REQUIRES_TOOL_CALL) return yield last;
      yield { ...last, isFinal: false };
      const toolResults = open && (await rounds.results(open, answer)); // undefined when somebody else has answered
      request = rounds.again(taskId, { fromIndex: index + 1, ...(toolResults && { toolResults }) });
      isLeft = false;
    } finally {
      if (isLeft) rounds.leave(taskId);
    }
  }
}

/** @returns the last chunk of a task that waits, which is not handed on. */
async function* untilItWaits(chunks: AsyncIterable<TokenChunk>): AsyncGenerator<TokenChunk, TokenChunk | undefined, undefined> {
  let last: TokenChunk | undefined;
  for await (const chunk of chunks) {
    if (chunk.isFinal && chunk.status === Status.REQUIRES_TOOL_CALL) last = chunk;
    else yield chunk;
  }
  return last;
}
