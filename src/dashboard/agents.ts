import type { AgentCard } from "../agent/index.ts";
import { element, find } from "./element.ts";
import { limits } from "./limits.ts";

/**
 * Asks the server for its agents; the first is the default one.
 *
 * @throws Error with one plain sentence when they cannot be had.
 */
export async function loadAgents(): Promise<AgentCard[]> {
  const response = await fetch("agents.json", { signal: AbortSignal.timeout(limits.agentsTimeoutMs) });
  if (!response.ok) throw new Error(`the server answered with HTTP status ${response.status}`);
  const list: unknown = await response.json();
  if (!Array.isArray(list)) throw new Error("the server answered with something else");
  return list.flatMap(cardOf).slice(0, limits.maxAgents);
}

/** Lists the agents, the first one chosen. `choose` is told of it and of every later choice. */
export function showAgents(cards: readonly AgentCard[], choose: (card: AgentCard) => void): void {
  const rows = cards.map((card, index) => {
    const { row, radio } = agentRow(card, `agent-${index}`);
    radio.checked = index === 0;
    radio.addEventListener("change", () => {
      row.scrollIntoView({ block: "nearest", inline: "nearest" });
      choose(card);
    });
    return row;
  });
  find("#agents", HTMLFieldSetElement).append(...rows);
  if (cards[0] !== undefined) choose(cards[0]);
}

function agentRow(card: AgentCard, id: string) {
  const row = element("label", "agent");
  const radio = element("input", "");
  radio.type = "radio";
  radio.name = "agent";
  radio.value = card.name;
  radio.setAttribute("aria-labelledby", `${id}-name`);
  radio.setAttribute("aria-describedby", `${id}-description ${id}-capabilities`);
  const name = element("span", "name", card.name);
  name.id = `${id}-name`;
  const description = element("span", "description", card.description);
  description.id = `${id}-description`;
  const capabilities = element("span", "capabilities");
  capabilities.id = `${id}-capabilities`;
  capabilities.append(...card.capabilities.flatMap((capability) => [element("span", "capability", capability), " "]));
  row.append(radio, name, description, capabilities);
  return { row, radio };
}

/** One entry of the list, or none when it has no name. */
function cardOf(entry: unknown): AgentCard[] {
  if (typeof entry !== "object" || entry === null) return [];
  const { name, description, capabilities, examples }: Record<string, unknown> = { ...entry };
  if (typeof name !== "string" || name === "") return [];
  return [
    {
      name,
      description: typeof description === "string" ? description : "",
      capabilities: strings(capabilities),
      examples: strings(examples),
    },
  ];
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
