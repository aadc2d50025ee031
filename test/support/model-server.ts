import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModel } from "ai";
import { boundedFetch } from "../../src/index.ts";

/** What the model does when it is asked, in order; the last one answers all that are asked after it. */
export type Answer = (response: ServerResponse, asked: AskedModel) => void | Promise<void>;

/** What the model was asked: the body of a request for OpenAI's chat completions. */
export interface AskedModel {
  readonly messages: readonly { role: string; content?: unknown; tool_calls?: unknown; tool_call_id?: string }[];
  readonly tools?: readonly { function: { name: string; parameters: unknown } }[];
  readonly max_tokens?: number;
  readonly response_format?: { type: string; json_schema?: { schema: unknown } };
}

const closing = new Set<() => Promise<void>>();
afterAll(async () => {
  await Promise.all([...closing].map((close) => close()));
});

/** A server that speaks OpenAI's protocol and says what it is told to, and a model of the AI SDK that asks it. */
export async function startModel(...answers: readonly Answer[]) {
  const asked: AskedModel[] = [];
  const server = createServer(async (request, response) => {
    const body: AskedModel = JSON.parse(await textOf(request));
    const answer = answers[Math.min(asked.push(body), answers.length) - 1];
    await answer?.(response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on a port
  closing.add(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const baseURL = `http://127.0.0.1:${port}/v1`;
  const provider = createOpenAICompatible({
    name: "scripted",
    baseURL,
    fetch: boundedFetch(),
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  const model: LanguageModel = provider("scripted-1");
  return { model, asked, baseURL };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const bytes of request) text += bytes;
  return text;
}

/** Begins an answer that streams. */
export function begin(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
}

/** One piece of it. */
export function send(response: ServerResponse, delta: object, finishReason: string | null = null): void {
  const choices = [{ index: 0, delta, finish_reason: finishReason }];
  response.write(
    `data: ${JSON.stringify({ id: "answer", object: "chat.completion.chunk", created: 1, model: "scripted-1", choices })}\n\n`,
  );
}

/** Its end, with the tokens that it took. */
export function finish(response: ServerResponse, reason = "stop", [prompt, completion] = [3, 2]): void {
  send(response, {}, reason);
  const usage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: (prompt ?? 0) + (completion ?? 0) };
  response.end(`data: ${JSON.stringify({ id: "answer", choices: [], usage })}\n\ndata: [DONE]\n\n`);
}

/** Says some pieces of text. */
export function saying(...pieces: readonly string[]): Answer {
  return (response) => {
    begin(response);
    for (const content of pieces) send(response, { content });
    finish(response);
  };
}

/** Says it in one piece, to who wants no stream. */
export function replying(content: string): Answer {
  return (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }];
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    response.end(JSON.stringify({ id: "answer", created: 1, model: "scripted-1", choices, usage }));
  };
}

/** Calls tools. */
export function calling(...calls: readonly (readonly [id: string, name: string, argumentsText: string])[]): Answer {
  return (response) => {
    begin(response);
    const toolCalls = calls.map(([id, name, text], index) => ({
      index,
      id,
      type: "function",
      function: { name, arguments: text },
    }));
    send(response, { tool_calls: toolCalls });
    finish(response, "tool_calls");
  };
}

/** A call as a piece of an answer has it. */
export function toolCallOf(id: string, name: string, argumentsValue: object, index = 0) {
  return { index, id, type: "function", function: { name, arguments: JSON.stringify(argumentsValue) } };
}

/** Refuses. */
export function refusing(status: number, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ error: { message: "secret-of-the-provider", type: "refused" } }));
  };
}
