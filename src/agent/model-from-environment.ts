import type { LanguageModel } from "ai";
import { boundedFetch } from "./bounded-fetch.ts";

/** Where a model is, and the key to it. */
interface Access {
  readonly fetch: typeof fetch;
  readonly baseURL?: string;
  readonly apiKey?: string;
}

/** The providers that are known by name; every other one speaks OpenAI's protocol at `CONVOKE_MODEL_URL`. */
const providers: Record<string, (name: string, access: Access) => Promise<LanguageModel>> = {
  openai: async (name, access) => (await import("@ai-sdk/openai")).createOpenAI(access)(name),
  anthropic: async (name, access) => (await import("@ai-sdk/anthropic")).createAnthropic(access)(name),
  google: async (name, access) => (await import("@ai-sdk/google")).createGoogleGenerativeAI(access)(name),
};

/**
 * The model that the environment names; undefined when it names none.
 *
 * `CONVOKE_MODEL` is `openai/NAME`, `anthropic/NAME` or `google/NAME`, with the provider's own key (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`,
 * `GOOGLE_GENERATIVE_AI_API_KEY`), or any `PROVIDER/NAME` with the base URL of a server that speaks OpenAI's protocol (Ollama, vLLM, llama.cpp) in
 * `CONVOKE_MODEL_URL`. `CONVOKE_MODEL_KEY` is the key to it, where one is needed.
 *
 * @throws TypeError when it names no provider or no model, or one that is not known without its URL.
 */
export async function modelFromEnvironment(environment: NodeJS.ProcessEnv = process.env): Promise<LanguageModel | undefined> {
  const { CONVOKE_MODEL: model, CONVOKE_MODEL_URL: baseURL, CONVOKE_MODEL_KEY: apiKey } = environment;
  if (model === undefined || model === "") return undefined;
  const [, provider = "", name = ""] = /^([^/]+)\/(.+)$/.exec(model) ?? [];
  if (name === "") throw new TypeError(`CONVOKE_MODEL is "${model}", and must be PROVIDER/NAME, such as openai/gpt-5`);
  const access: Access = { fetch: boundedFetch(), ...(baseURL && { baseURL }), ...(apiKey && { apiKey }) };
  const create = Object.hasOwn(providers, provider) ? providers[provider] : undefined;
  if (create !== undefined) return await create(name, access);
  if (!baseURL) {
    const known = Object.keys(providers).join(", ");
    throw new TypeError(
      `CONVOKE_MODEL names the provider "${provider}"; set CONVOKE_MODEL_URL to its base URL, or take one of ${known}`,
    );
  }
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const options = { ...access, baseURL, name: provider, includeUsage: true, supportsStructuredOutputs: true };
  return createOpenAICompatible(options)(name);
}
