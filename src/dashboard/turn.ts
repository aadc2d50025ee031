import { Status, type TokenChunk, type TokenUsage } from "../web/index.ts";
import { citationItem } from "./citation.ts";
import { element, find } from "./element.ts";
import { limits } from "./limits.ts";
import { createRequests, type Reply } from "./requests.ts";

/** The current question with its answer, and above it the earlier ones. */
export interface Turn {
  /** Moves what is there to the earlier ones and shows a new question. */
  begin(question: string, agent: string): void;
  /** Shows that the agent is at work, at first or again. */
  work(): void;
  /**
   * Shows one event of the answer.
   *
   * @throws RangeError when the answer is longer than the page can show.
   */
  show(chunk: TokenChunk): void;
  /**
   * Shows how the answer ended: `sentence`, or else what the agent said of it. One that waits for somebody asks the person, again if nothing has
   * come since.
   */
  end(sentence?: string): void;
  /** Shows what went wrong. */
  fail(sentence: string): void;
}

/**
 * The turn over the elements of the page. They are there from the start, as a live region must be to be read aloud.
 *
 * @param reply is told what the person answers to all that the turn waits for.
 */
export function createTurn(reply: (replies: readonly Reply[]) => void): Turn {
  const parts = partsOfPage();
  const requests = createRequests((replies) => {
    parts.error.replaceChildren(); // of an answer before that was not taken
    reply(replies);
  });
  let status = Status.UNSPECIFIED;
  let usage = { promptTokens: 0, completionTokens: 0 };
  let shownChars = 0;
  let taskId = "";

  function showPart(chunk: TokenChunk): void {
    const { text, citation, toolCall } = chunk;
    if (chunk.restartedFrom !== undefined) clear();
    requests.show(chunk);
    if (text !== "") parts.answer.append(text);
    if (citation !== undefined) {
      parts.citations.append(citationItem(citation));
      parts.sources.hidden = false;
    }
    if (toolCall !== undefined) parts.status.textContent = `Using ${toolCall.toolName}…`;
    else if (text !== "") setText(parts.status, "Answering…");
    if (chunk.usage !== undefined) usage = sum(usage, chunk.usage);
    if (chunk.status !== Status.UNSPECIFIED) status = chunk.status;
  }

  function clear() {
    for (const part of [parts.answer, parts.citations]) part.replaceChildren();
    parts.sources.hidden = true;
    usage = { promptTokens: 0, completionTokens: 0 };
  }

  return {
    begin(question, agent) {
      if (requests.isOpen) parts.status.textContent = leftSentence(taskId);
      if (parts.asked.textContent !== "") keep(parts.turn, parts.history);
      parts.error.replaceChildren();
      clear();
      requests.clear();
      parts.asked.replaceChildren(element("h2", "asked", question));
      parts.answerer.textContent = agent;
      [status, shownChars] = [Status.UNSPECIFIED, 0];
    },
    work() {
      parts.turn.classList.add("working");
      parts.status.textContent = "Working…";
    },
    show(chunk) {
      shownChars += charsOf(chunk);
      if (shownChars > limits.maxAnswerChars) throw new RangeError("it is longer than this page can show");
      taskId = chunk.taskId;
      showPart(chunk);
    },
    end(sentence) {
      parts.turn.classList.remove("working");
      parts.status.textContent = (sentence ?? endSentence(status)) + usageText(usage);
      if (sentence === undefined && status === Status.REQUIRES_INPUT) requests.open();
    },
    fail(sentence) {
      parts.turn.classList.remove("working");
      parts.status.replaceChildren();
      parts.error.textContent = sentence;
    },
  };
}

function partsOfPage() {
  return {
    turn: find("#turn", HTMLElement),
    history: find("#history", HTMLOListElement),
    asked: find("#asked", HTMLDivElement),
    answerer: find("#answerer", HTMLParagraphElement),
    answer: find("#answer", HTMLElement),
    sources: find("#sources", HTMLDivElement),
    citations: find("#citations", HTMLOListElement),
    status: find("#status", HTMLParagraphElement),
    error: find("#error", HTMLParagraphElement),
  };
}

/** Copies the turn to the earlier ones. A copy has no ids and is not read aloud again. */
function keep(turn: HTMLElement, history: HTMLOListElement): void {
  const copy = element("li", turn.className);
  copy.append(...turn.cloneNode(true).childNodes);
  copy.querySelector("form")?.remove();
  for (const part of copy.querySelectorAll("[id]")) {
    for (const attribute of ["id", "role", "aria-live"]) part.removeAttribute(attribute);
  }
  history.append(copy);
  while (history.children.length > limits.maxTurns) history.firstElementChild?.remove();
}

/** Sets a text only when it changes, so that it is read aloud once. */
function setText(part: HTMLElement, text: string): void {
  if (part.textContent !== text) part.textContent = text;
}

function charsOf({ text, citation, inputRequest, input }: TokenChunk): number {
  const cited = citation === undefined ? 0 : citation.uri.length + citation.title.length + citation.quote.length;
  const asked =
    inputRequest === undefined ? 0 : inputRequest.prompt.length + (inputRequest.toolCall?.argumentsJson.length ?? 0);
  return text.length + cited + asked + (input?.text.length ?? 0);
}

/** What stands at a question that the person has left for the next one. */
function leftSentence(taskId: string): string {
  return `Left without an answer, which can still be given: convoke tasks answer ${location.origin} ${taskId}, with --approve, --deny or --text`;
}

const endSentences: Partial<Record<Status, string>> = {
  [Status.COMPLETED]: "Completed",
  [Status.REQUIRES_INPUT]: "Waits for your answer",
  [Status.REQUIRES_TOOL_CALL]: "Waits for the result of a tool, which this page cannot give",
};

function endSentence(status: Status): string {
  return endSentences[status] ?? "Ended";
}

function usageText({ promptTokens, completionTokens }: Pick<TokenUsage, "promptTokens" | "completionTokens">): string {
  if (promptTokens + completionTokens === 0) return "";
  return ` · ${promptTokens.toLocaleString("en")} tokens read, ${completionTokens.toLocaleString("en")} written`;
}

function sum(one: Pick<TokenUsage, "promptTokens" | "completionTokens">, other: TokenUsage) {
  return {
    promptTokens: one.promptTokens + other.promptTokens,
    completionTokens: one.completionTokens + other.completionTokens,
  };
}
