/** Checks of results before they are used. Nothing here needs Node. */
export { allowsTools } from "./allows-tools.ts";
export { type CitesItsSourcesOptions, citesItsSources } from "./cites-its-sources.ts";
export { type GuardedCall, guardCall, type UnguardedCall } from "./guarded-call.ts";
export type { Guardrail, GuardrailContext, Verdict } from "./guardrail.ts";
export type { Judge, Judgement, JudgeQuestion } from "./judge.ts";
export { type JudgedByOptions, judgedBy } from "./judged-by.ts";
export { matchesSchema } from "./matches-schema.ts";
export { type NoSecretsOptions, noSecrets } from "./no-secrets.ts";
export { plain, stringsOf } from "./quotes.ts";
export { type Amendment, type Unverified, type Verified, verify } from "./verify.ts";
export { type ResultBudget, withinBudget } from "./within-budget.ts";
