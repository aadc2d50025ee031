import type { Citation, TaskResponse } from "../contract/index.ts";
import { blockFor, type Guardrail, type Verdict } from "./guardrail.ts";
import { findSecrets } from "./secrets.ts";

export interface NoSecretsOptions {
  /** `block` refuses the answer; `redact` puts `[GitHub token]` and the like in place of secrets in its text and citations. Default: `block`. */
  readonly mode?: "block" | "redact";
}

/**
 * Keeps keys, tokens, private keys, JSON Web Tokens and passwords in URLs or assignments out of an answer: its text, its citations, and the arguments of
 * its tool calls, in which they are never redacted but always block. What tools gave to the agent is not looked at.
 *
 * Placeholders (`YOUR_API_KEY`, `sk-...`) and the keys of AWS's documentation are no secrets. Reasons say what was found and where, never the secret.
 *
 * @throws RangeError for another mode.
 */
export function noSecrets({ mode = "block" }: NoSecretsOptions = {}): Guardrail {
  if (mode !== "block" && mode !== "redact")
    throw new RangeError(`mode is ${JSON.stringify(mode)}; it must be "block" or "redact"`);
  return {
    name: "noSecrets",
    check(result) {
      const { content, citations, toolCalls } = result;
      const called = toolCalls.flatMap((call, index) =>
        reasonsFor(`the arguments of tool call ${index + 1}`, call.argumentsJson),
      );
      const said = [
        ...reasonsFor("the text", content),
        ...citations.flatMap((citation, index) =>
          citedTexts.flatMap((field) => reasonsFor(`the ${field} of citation ${index + 1}`, citation[field])),
        ),
      ];
      if (mode === "block" || called.length > 0 || said.length === 0) return blockFor([...said, ...called]);
      return redacted(result, said);
    },
  };
}

const citedTexts = ["uri", "title", "quote"] as const;

function reasonsFor(place: string, text: string): string[] {
  return findSecrets(text).map(({ kind, start }) => `a secret (${kind}) at character ${start + 1} of ${place}`);
}

function redacted(result: Readonly<TaskResponse>, reasons: readonly string[]): Verdict {
  const citations = result.citations.map((citation): Citation => {
    const [uri, title, quote] = [redact(citation.uri), redact(citation.title), redact(citation.quote)];
    return { ...citation, uri, title, quote };
  });
  return { outcome: "amend", result: { ...result, content: redact(result.content), citations }, reasons };
}

function redact(text: string): string {
  let rest = 0;
  let safe = "";
  for (const { kind, start, end } of findSecrets(text)) {
    safe += `${text.slice(rest, start)}[${kind}]`;
    rest = end;
  }
  return safe + text.slice(rest);
}
