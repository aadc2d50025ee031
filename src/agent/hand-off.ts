import { create } from "@bufbuild/protobuf";
import { HandoffSchema } from "../contract/index.ts";
import type { AgentEvent } from "../core/index.ts";
import type { AgentHandle, AskOptions } from "./define.ts";

/**
 * Hands the rest of the conversation to another agent: `yield*` it. The caller sees one stream, with an event that names who goes on, and that agent's answer
 * after it. Each later turn of the conversation goes to that agent, for as long as it can be found, until it hands it on.
 *
 * @param content what it is asked now: nearly always the task's own content.
 * @throws ConnectError as {@link AgentHandle} says.
 */
export async function* handOff(
  agent: Pick<AgentHandle, "capability" | "stream">,
  content: string,
  options?: AskOptions,
): AsyncGenerator<AgentEvent, void, undefined> {
  const { capability } = agent;
  yield { case: "handoff", value: create(HandoffSchema, { capability }) };
  yield* agent.stream(content, { ...options, handsOn: true });
}
