import { type ClientHttp2Session, connect } from "node:http2";
import { answerLines } from "../lines.ts";
import { envelope, idleRequestBytes } from "../messages.ts";

/** With no connections it only counts what is open. */
export interface IdleJob {
  readonly path: string;
  readonly connections: number;
  readonly streamsPerConnection: number;
}

export interface IdleReply {
  /** Streams that have had their message and still wait. */
  readonly open: number;
}

const body = envelope(idleRequestBytes);
let open = 0;

/** Opens streams, waits until each has had its one message, and leaves them open. */
answerLines({}, async ({ path, connections, streamsPerConnection }: IdleJob) => {
  for (let connection = 0; connection < connections; connection++) {
    const session = connect(process.argv[2] ?? "");
    await Promise.all(Array.from({ length: streamsPerConnection }, () => openStream(session, path)));
  }
  return { open } satisfies IdleReply;
});

function openStream(session: ClientHttp2Session, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" });
    stream.once("data", () => {
      open++;
      stream.once("close", () => open--);
      resolve();
    });
    stream.once("error", reject);
    stream.once("end", () => reject(new Error("the stream ended without a message")));
    stream.end(body);
  });
}
