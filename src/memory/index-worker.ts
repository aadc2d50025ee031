import { parentPort, workerData } from "node:worker_threads";
import type { IndexAnswer, IndexRequest } from "./index-thread.ts";
import { createSearchIndex } from "./search-index.ts";

/** The thread in which the index lives: takes one request after another, and answers each. */
const index = createSearchIndex(Number(workerData));

parentPort?.on("message", (request: IndexRequest) => parentPort?.postMessage(answer(request)));

function answer({ id, call }: IndexRequest): IndexAnswer {
  try {
    if (call.case === "add") return { id, complete: index.add(call.rows) };
    if (call.case === "search") return { id, hits: index.search(call.query) };
    index.remove(call.thread);
    return { id };
  } catch (thrown) {
    return { id, problem: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}
