import type { Input, InputRequest, TokenChunk } from "../web/index.ts";
import { element, find } from "./element.ts";

/** What somebody answers. */
export type Reply = Pick<Input, "inputId" | "text"> & Partial<Pick<Input, "approved">>;

/** What the agent of the current turn asks somebody for, and the form that answers it. */
export interface Requests {
  /** True while the form is there. */
  readonly isOpen: boolean;
  /** Shows a request, or the answer to one, whoever gave it; takes those away that are void. */
  show(chunk: Pick<TokenChunk, "inputRequest" | "input" | "restartedFrom">): void;
  /** Lets the person answer what is open, one after another. */
  open(): void;
  /** Forgets all. */
  clear(): void;
}

/** The requests over the elements of the page. @param reply is told when all that is open has its answer. */
export function createRequests(reply: (replies: readonly Reply[]) => void): Requests {
  const list = find("#requests", HTMLOListElement);
  const form = createForm((given) => take(given));
  const shown = new Map<string, Row>();
  let replies: Reply[] = [];

  const unanswered = () => [...shown.values()].filter(({ verdict }) => verdict.textContent === "");

  function drop({ request, item }: Row) {
    shown.delete(request.inputId);
    item.remove();
  }

  function askNext() {
    const next = unanswered()[replies.length];
    if (next !== undefined) return form.ask(next);
    form.close();
    reply(replies);
  }

  function take(given: Reply) {
    replies = [...replies, given];
    askNext();
  }

  return {
    get isOpen() {
      return form.isOpen;
    },
    show({ inputRequest, input, restartedFrom }) {
      if (restartedFrom !== undefined) for (const row of unanswered()) drop(row);
      if (inputRequest !== undefined) {
        const row = requestRow(inputRequest);
        shown.set(inputRequest.inputId, row);
        list.append(row.item);
      }
      const answered = input === undefined ? undefined : shown.get(input.inputId);
      if (input !== undefined && answered !== undefined) answered.verdict.textContent = verdictText(input);
    },
    open() {
      const [before] = replies;
      replies = [];
      const [next] = unanswered();
      if (next === undefined) return;
      form.ask(next);
      if (next.request.inputId === before?.inputId) form.restore(before.text); // it was not taken
    },
    clear() {
      form.close();
      shown.clear();
      list.replaceChildren();
      replies = [];
    },
  };
}

interface Row {
  readonly request: InputRequest;
  readonly item: HTMLLIElement;
  readonly prompt: HTMLElement;
  /** Empty until there is an answer. */
  readonly verdict: HTMLElement;
}

function requestRow(request: InputRequest): Row {
  const item = element("li", "request");
  const prompt = element("p", "prompt", request.prompt);
  const verdict = element("p", "verdict");
  item.append(prompt);
  if (request.toolCall !== undefined) {
    const { toolName, argumentsJson } = request.toolCall;
    const call = element("pre", "call", `${toolName} ${argumentsJson}`);
    call.tabIndex = 0; // it scrolls
    call.setAttribute("role", "group");
    call.setAttribute("aria-label", "Tool and arguments");
    item.append(call);
  }
  item.append(verdict);
  return { request, item, prompt, verdict };
}

/** The form, which asks for one thing at a time. Enter sends nothing: it would have to choose between the buttons. */
function createForm(give: (reply: Reply) => void) {
  const form = find("#reply", HTMLFormElement);
  const words = find("#words", HTMLTextAreaElement);
  const [approve, refuse, answer] = ["#approve", "#refuse", "#give"].map((id) => find(id, HTMLButtonElement));
  const promptId = "reply-prompt";
  let asked: Row | undefined;

  const onClick = (button: HTMLButtonElement | undefined, verdict: Partial<Pick<Input, "approved">>) =>
    button?.addEventListener("click", () => {
      const text = words.value.trim();
      if (asked === undefined) return;
      if (verdict.approved === undefined && text === "") return words.focus();
      give({ inputId: asked.request.inputId, text, ...verdict });
    });
  onClick(approve, { approved: true });
  onClick(refuse, { approved: false });
  onClick(answer, {});
  form.addEventListener("submit", (event) => event.preventDefault());

  const leave = () => {
    asked?.prompt.removeAttribute("id");
    asked = undefined;
  };
  return {
    get isOpen() {
      return asked !== undefined;
    },
    ask(row: Row) {
      leave();
      asked = row;
      row.prompt.id = promptId; // names the form
      const isApproval = row.request.toolCall !== undefined;
      for (const button of [approve, refuse]) button?.toggleAttribute("hidden", !isApproval);
      answer?.toggleAttribute("hidden", isApproval);
      find("#words-label", HTMLLabelElement).textContent = isApproval ? "Reason, if you like" : "Your answer";
      words.value = "";
      form.hidden = false;
    },
    restore(text: string) {
      words.value = text;
    },
    close() {
      leave();
      form.hidden = true;
    },
  };
}

function verdictText({ approved, text }: Input): string {
  const verdict = approved === undefined ? "Answered" : approved ? "Approved" : "Refused";
  return text === "" ? verdict : `${verdict}: ${text}`;
}
