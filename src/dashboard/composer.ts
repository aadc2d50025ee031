import type { AgentCard } from "../agent/index.ts";
import { element, find } from "./element.ts";
import { limits } from "./limits.ts";

/** What the composer hands on. */
export interface ComposerEvents {
  /** A question that is not blank, while nothing is being answered. */
  send(question: string): void;
  /** The wish to stop the answer, while there is one. */
  stop(): void;
}

/** The box for the question, with its examples and buttons. */
export interface Composer {
  /** Says whom the question goes to, and offers that agent's examples. */
  address(card: AgentCard): void;
  /** Swaps which of Send and Stop can be used. */
  setWorking(working: boolean): void;
  /** Takes the focus, after what had it has gone. */
  focus(): void;
  /** Gives a question back, unless another has been begun. */
  restore(question: string): void;
}

/** The composer over the elements of the page. */
export function createComposer(events: ComposerEvents): Composer {
  const question = find("#question", HTMLTextAreaElement);
  const send = find("#send", HTMLButtonElement);
  const stop = find("#stop", HTMLButtonElement);

  find("#composer", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const content = question.value.trim();
    if (send.disabled || content === "") return question.focus();
    question.value = "";
    events.send(content);
  });
  question.addEventListener("keydown", (event) => {
    // Enter that ends the composition of a character, as in Japanese, is not the end of the question.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!send.disabled) question.form?.requestSubmit();
  });
  stop.addEventListener("click", events.stop);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing && !stop.disabled) events.stop();
  });

  return {
    address(card) {
      find("#recipient", HTMLLabelElement).textContent = `Question to ${card.name}`;
      showExamples(card.examples, question);
    },
    setWorking(working) {
      const [from, to] = working ? [send, stop] : [stop, send];
      const focused = document.activeElement === from;
      from.disabled = true;
      to.disabled = false;
      if (focused) to.focus(); // a disabled button loses the focus, and Tab would start at the top of the page
    },
    focus: () => question.focus(),
    restore(content) {
      if (question.value === "") question.value = content;
    },
  };
}

function showExamples(examples: readonly string[], question: HTMLTextAreaElement): void {
  const items = examples.slice(0, limits.maxExamples).map((example) => {
    const button = element("button", "example", example);
    button.type = "button";
    button.addEventListener("click", () => {
      question.value = example;
      question.focus();
    });
    const item = element("li", "");
    item.append(button);
    return item;
  });
  find("#examples", HTMLUListElement).replaceChildren(...items);
}
