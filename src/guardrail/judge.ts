/** What a judge is asked. */
export interface JudgeQuestion {
  /** What the task asked; empty where that is not known. */
  readonly task: string;
  readonly answer: string;
  /** What the answer has to be. */
  readonly criteria: string;
}

/** What a judge says. */
export interface Judgement {
  readonly pass: boolean;
  /** Why, in one sentence; the caller reads it when the answer does not pass. */
  readonly reason: string;
}

/** Whoever judges answers: a model, another agent, a program. Heeds the signal. */
export type Judge = (question: JudgeQuestion, options: { readonly signal: AbortSignal }) => Promise<Judgement>;
