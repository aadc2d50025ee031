import { playSecurely } from "../secure-stage.ts";

/** Discover, mutual TLS, call, answer: a registry, an agent and its caller, each a process with a certificate of its own. */
const question = "30 minutes with Ana and Ben next Tuesday";

await playSecurely(["registry", "scheduler", "assistant"], async (begin) => {
  const registry = await begin("registry").said(/listens at (\S+)/);
  await begin("discovery/scheduler", registry).said(/(serves)/);
  return await begin("discovery/assistant", registry, question).ended();
});
