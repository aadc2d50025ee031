import { type ClientHttp2Session, connect } from "node:http2";
import { answerLines } from "../lines.ts";
import { envelope, idleRequestBytes } from "../messages.ts";

export interface IdleJob {
  readonly path: string;
  readonly connections: number;
  readonly streamsPerConnection: number;
}

const body = envelope(idleRequestBytes);

/** Opens streams, waits until each has had its one message, and leaves them open. */
answerLines({}, async ({ path, connections, streamsPerConnection }: IdleJob) => {
  for (let connection = 0; connection < connections; connection++) {
    const session = connect(process.argv[2] ?? "");
    await Promise.all(Array.from({ length: streamsPerConnection }, () => openStream(session, path)));
  }
  return { streams: connections * streamsPerConnection };
});

function openStream(session: ClientHttp2Session, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" });
    stream.once("data", () => resolve());
    stream.once("error", reject);
    stream.once("end", () => reject(new Error("the stream ended")));
    stream.end(body);
  });
}
