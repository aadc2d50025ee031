/** The thread that writes the file: it takes what has come, commits it in one transaction, and then says so. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { type Batch, unpack } from "./batch.ts";
import { Failed, type Result } from "./failure.ts";
import type { Outcome, Report, Request, WriterSettings } from "./messages.ts";
import { Transactions } from "./transactions.ts";
import { Upkeep } from "./upkeep.ts";

if (parentPort === null) throw new Error("this file runs as a worker thread");
const port = parentPort;
const settings: WriterSettings = workerData;

try {
  serve(new Transactions(settings));
} catch (thrown) {
  if (!(thrown instanceof Failed)) throw thrown;
  tell({ case: "refused", failure: thrown.failure });
}

function tell(report: Report): void {
  port.postMessage(report);
}

function serve(transactions: Transactions): void {
  const upkeep = new Upkeep(transactions, settings.pollMs, tell);
  port.on("message", (request: Request) => {
    const batches: Batch[] = [];
    const last = gather(request, batches);
    if (batches.length > 0) commit(batches, transactions, upkeep);
    if (last?.case === "follow") upkeep.follow(last.following);
    if (last?.case !== "close") return;
    upkeep.stop();
    transactions.close();
    port.close();
  });
  tell({ case: "open" });
}

/** Takes the batches that have come until now, and gives what came behind them and is none. */
function gather(first: Request, batches: Batch[]): Exclude<Request, { case: "batch" }> | undefined {
  let [operations, bytes] = [0, 0];
  for (let request: Request | undefined = first; request !== undefined; request = next()) {
    if (request.case !== "batch") return request;
    batches.push(request.batch);
    operations += request.batch.names.length;
    bytes += request.batch.bytes.byteLength;
    if (operations >= settings.maxGroupOperations || bytes >= settings.maxGroupBytes) return undefined;
  }
  return undefined;
}

function next(): Request | undefined {
  return receiveMessageOnPort(port)?.message;
}

function commit(batches: readonly Batch[], transactions: Transactions, upkeep: Upkeep): void {
  const operations = batches.flatMap(unpack);
  const results = transactions.commit(operations);
  let from = 0;
  const outcomes = batches.map(({ names }) => {
    from += names.length;
    return outcomeOf(results.slice(from - names.length, from));
  });
  upkeep.tellOthers(); // first: what they wrote came before
  tell({ case: "done", outcomes, leasesChanged: transactions.takeLeasesChanged() });
  if (operations.some(({ kind }) => kind === "lease" || kind === "renew")) upkeep.leasesCame();
  if (operations.some(({ kind }) => kind === "trim")) upkeep.trimsCame();
  transactions.moveRecent();
  transactions.checkpoint();
}

function outcomeOf(results: readonly Result[]): Outcome {
  const numbers = Float64Array.from(results, (result) => (typeof result === "number" ? result : 0));
  const failures = results.flatMap((result, index) => (typeof result === "number" ? [] : [{ index, failure: result }]));
  return { numbers, failures };
}
