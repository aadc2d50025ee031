import {
  type AgentCard,
  agentTool,
  defineAgent,
  type ModelAgentDefinition,
  modelAgent,
  modelFromEnvironment,
  type Task,
} from "convoke";

/** More of a question is not looked at, so that a long one cannot make the rules slow. */
const maxRuleChars = 1_000;
/** What opens a question and says nothing of its subject. */
const opening = /^(?:(?:and|then|or|hi|hey|please|can you|could you|let's)\b[\s,]*)+/i;
const day = String.raw`(?:today|tonight|tomorrow|\w+day|weeks?|month|morning|afternoon|noon|\d+ ?[ap]m|\d{4}-\d\d-\d\d)\b`;
const number = "(?:[\\d(€$£¥]|(?:one|two|three|four|five|six|seven|eight|nine|ten)\\b)";

/** Who answers what. The first rule that matches decides; a rule whose specialist is not there is passed over. */
const rules: readonly (readonly [capability: string, question: RegExp])[] = [
  ["summarize", /^(?:(?:give me|write) )?(?:an? |the )?(?:summar(?:y|i[sz]e)|sum up|shorten|tl;?dr)\b/i],
  ["summarize", /^[\s\S]{700}/], // too long for a question: it is a text
  ["schedule", /^(?:(?:re)?schedule|book|plan|find)\b.*\b(?:meeting|call|slot|time|\d+)\b/i],
  ["schedule", /\b(?:meet|meetings?|appointments?|calendars?|free (?:times?|slots?)|(?:minutes?|mins?|hours?) with)\b/i],
  ["schedule", new RegExp(`\\b(?:free|available|availability|busy|minutes?|mins?|hours?)\\b.*\\b${day}`, "i")],
  ["schedule", /\b(?:when|who) (?:is|are) .*\b(?:free|available|busy)\b/i],
  ["calculate", /\d\s*(?:%|percent)|\bpercent.*\d|\d!|[√π]|\b(?:square root|cube root|sqrt|factorial)\b/i],
  ["calculate", /\d\s*[+*/^×÷]\s*[\d.(€$£¥]|[\d)] +[-−–] +[\d(€$£¥]/],
  ["calculate", /^[\d\s.,()+*/^-]*\d[\d\s.,()+*/^-]*[=?]*$/],
  ["calculate", new RegExp(`\\b(?:plus|minus|times|(?:divided|multiplied) by) ${number}`, "i")],
  ["calculate", /\d (?:squared|cubed|to the power)\b|\b(?:average|mean|sum) of\b.*\d|\bhow many \w+ .{0,12}\d/i],
  ["calculate", /^(?:calculate|compute|add|subtract|multiply|divide|split|double|half|convert|round|how much is)\b.*\d/i],
  ["calculate", /^(?:what(?: is|'s) )?-?\d[\d.,]* ?°?[a-z][\w /^]* (?:in|to|into|as) (?:an? )?[°\w/^]+\W*$/i],
  ["research", /^(?:who|what(?! about)|when|where|why|which|how(?! about)|does|do|is|are|can|explain|describe|tell me)\b.*\w/i],
];

const card = {
  name: "triage",
  capabilities: ["triage"],
  description: "Hands each question to the specialist for it.",
  examples: ["What is 17% of 2,350 EUR?", "30 minutes with Ana and Ben next Tuesday", "How do I define an agent?"],
};

/** Asks the specialists as a model sees fit, where CONVOKE_MODEL names one. */
const byModel = (model: NonNullable<ModelAgentDefinition["model"]>) =>
  modelAgent({
    ...card,
    model,
    system:
      "Answer with what the tools say. Ask one whenever it can help, and cite the words of its answer that yours rests on.",
    tools: [
      agentTool("schedule", { description: "Finds free times: who, how long, when." }),
      agentTool("research", { description: "Answers questions about Convoke from its documentation." }),
      agentTool("calculate", { description: "Calculates exactly: arithmetic, percentages, money, units." }),
      agentTool("summarize", { description: "Summarizes a text." }),
    ],
  });

/** Hands a question to the specialist for it, whose answer is the whole answer. */
const byRules = defineAgent({
  ...card,
  async *run(task, ctx) {
    const { question, to } = route(task, ctx.agents.cards);
    ctx.log.info({ to: to ?? "nobody" }, "routed");
    if (to) yield* ctx.agents.capability(to).stream(question, { metadata: { ...task.metadata } });
    else yield nobody(ctx.agents.cards);
  },
});

const model = await modelFromEnvironment();

/** The front door of the team. */
export default model === undefined ? byRules : byModel(model);

/** A follow-up that no rule fits goes where the question before it went. */
function route(task: Task, cards: readonly AgentCard[]): { question: string; to: string | undefined } {
  const before = task.conversation?.turns.findLast(({ content }) => !followUp.test(content))?.content;
  const continued = followUp.test(task.content) ? before : undefined;
  const question = (continued && reworded(continued, task.content)) ?? task.content;
  return { question, to: specialist(question, cards) ?? (continued && specialist(continued, cards)) };
}

function specialist(question: string, cards: readonly AgentCard[]): string | undefined {
  const start = question.trimStart().slice(0, maxRuleChars);
  const text = start.replace(opening, "");
  const present = new Set(cards.flatMap(({ capabilities }) => capabilities));
  return rules.find(([capability, pattern]) => present.has(capability) && pattern.test(text))?.[0];
}

const followUp = /^\s*(?:and|then|or|what about|how about)\b/i;
const quantity = /\d[\d.,]{0,20}\s*(%|[a-z]+)/gi;
const newQuantity = /^\s*(?:and|then|or|what about|how about)\b[a-z ,]{0,20}?(\d[\d.,]{0,20}\s*(%|[a-z]+))\W*$/i;

/** "17% of 80" and then "and 20%?" asks for "20% of 80". Other follow-ups are left as they are. */
function reworded(question: string, continuation: string): string | undefined {
  const [, wanted, unit = ""] = newQuantity.exec(continuation) ?? [];
  for (const [given, givenUnit = ""] of wanted ? question.matchAll(quantity) : []) {
    if (shortened(givenUnit) === shortened(unit)) return question.replace(given, () => wanted ?? "");
  }
  return undefined;
}

/** "min", "minute" and "minutes" are one unit. */
const shortened = (unit: string) => unit.slice(0, 3).toLowerCase();

function nobody(cards: readonly AgentCard[]): string {
  const offers = cards.map(({ name, description, examples: [example] }) =>
    example === undefined ? `- ${name}: ${description}` : `- ${name}: ${description} For example: "${example}"`,
  );
  if (offers.length === 0) return "Nobody here can answer that.";
  return `Nobody here can answer that. You can ask for this:\n${offers.join("\n")}\n`;
}
