import { playSecurely } from "../secure-stage.ts";

/** From the question to the shared memory: a registry, specialists and who asks them, each a process with a certificate of its own. */
await playSecurely(["registry", "specialists", "orchestrator"], async (begin) => {
  const registry = await begin("registry").said(/listens at (\S+)/);
  await begin("sequence/specialists", registry).said(/(serves)/);
  return await begin("sequence/orchestrator", registry).ended();
});
