import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Agent, createSqliteStore, defineAgent, serve } from "convoke";

/** A server whose tasks outlive it: they are in a file of the folder that it is given. */
const [folder = ""] = process.argv.slice(2);

/** Counts up to what it is asked: a number that is missing, or comes twice, shows. */
const run: Agent["run"] = async function* (task, { signal }) {
  for (let number = 1; number <= Number(task.content); number++) {
    yield `${number} `;
    await delay(50, undefined, { signal });
  }
};

/** To count twice does no harm, so it may begin anew when its server has died. */
const count = defineAgent({ name: "count", restartable: true, run });
/** The same, for work that is not to be done twice. */
const once = defineAgent({ name: "once", run });

const store = await createSqliteStore({ path: join(folder, "convoke.db") });
const server = await serve({ agents: [count, once], store, port: 0, signals: false, log: { level: "error" } });
process.stdout.write(`listens at ${server.url}\n`);
process.on("SIGTERM", async () => {
  await server.close({ graceMs: 0 });
  await store.close();
});
