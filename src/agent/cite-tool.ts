import { type AgentEvent, citationBounds } from "../core/index.ts";
import { cite, toolSources } from "./cite.ts";
import type { Tool } from "./define.ts";
import { defineTool } from "./tool.ts";

interface Quote {
  readonly quote: string;
  readonly uri?: string;
  readonly title?: string;
}

const name = "cite";

/** What a model calls to cite a source. */
export const citeTool: Tool<Quote> = createCiteTool([], () => {});

/** @param events of the run so far. @param cited told of each citation. */
export function createCiteTool(events: readonly AgentEvent[], cited: (event: AgentEvent) => void): Tool<Quote> {
  const sources = () => toolSources(events).filter(({ tool }) => tool !== name); // to cite is no source
  return defineTool({
    name,
    description: "Cites a source of the sentence just written: quote the exact words of a tool's result that it rests on.",
    input: { "~standard": { version: 1, vendor: "convoke", validate, jsonSchema: { input: () => schema } } },
    run(quote) {
      cited(cite(quote, sources));
      return "cited";
    },
  });
}

const text = { type: "string", maxLength: citationBounds.maxQuoteChars };
const schema = {
  type: "object",
  properties: {
    quote: { ...text, description: "the exact words" },
    uri: { ...text, description: "where the source is, as the tool's result names it" },
    title: { ...text, description: "the source's title" },
  },
  required: ["quote"],
  additionalProperties: false,
};

function validate(value: unknown) {
  const { quote, uri, title } = Object(value) as Record<keyof Quote, unknown>; // each of them is looked at next
  const isText = (each: unknown): each is string => typeof each === "string" && each.length <= citationBounds.maxQuoteChars;
  const issues = Object.entries({ quote, uri, title }).flatMap(([path, each]) =>
    isText(each) || (each === undefined && path !== "quote")
      ? []
      : [{ message: `must be a text of at most ${citationBounds.maxQuoteChars} characters`, path: [path] }],
  );
  if (issues.length > 0 || !isText(quote)) return { issues };
  return { value: { quote, ...(isText(uri) && { uri }), ...(isText(title) && { title }) } };
}
