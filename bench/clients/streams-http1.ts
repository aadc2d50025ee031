import { Agent, request } from "node:http";
import { createEnvelopeCounter } from "../envelopes.ts";
import { answerLines } from "../lines.ts";
import { chunksPerStream, envelope, requestBytes, requestJson } from "../messages.ts";
import { repeat } from "./client.ts";
import type { StreamsJob } from "./streams-http2.ts";

const agent = new Agent({ keepAlive: true });

/** As `streams-http2.ts`, with one connection a stream; for Connect, whose streams end with an envelope of their own. */
answerLines({}, (job: StreamsJob) => repeat(job, job.streams, () => readStream(job)));

function readStream({ path, contentType }: StreamsJob): Promise<number> {
  return new Promise((resolve, reject) => {
    const counter = createEnvelopeCounter();
    const body = envelope(contentType.endsWith("json") ? Buffer.from(requestJson) : requestBytes);
    const headers = { "content-type": contentType, "content-length": body.length };
    const call = request(new URL(path, process.argv[2]), { method: "POST", agent, headers }, (response) => {
      response.on("data", (bytes: Buffer) => counter.add(bytes));
      response.once("error", reject);
      response.once("end", () => {
        if (response.statusCode === 200 && counter.count === chunksPerStream + 1) resolve(chunksPerStream);
        else reject(new Error(`${counter.count} envelopes and HTTP status ${response.statusCode}`));
      });
    });
    call.once("error", reject);
    call.end(body);
  });
}
