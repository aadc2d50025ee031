import { connect, createServer, type Socket } from "node:net";
import { listen } from "./process.ts";

/** A way to a server that can be disturbed. */
export interface CutOff {
  /** `host:port`, to be used in the server's place. */
  readonly address: string;
  /** From now on the server's answers are lost; what is sent to it arrives. */
  loseAnswers(): void;
  /** Ends all connections; new ones are as good as the first. */
  cut(): void;
}

/** Stands before a server at `host:port`. */
export async function createCutOff(server: string): Promise<CutOff> {
  const sockets = new Set<Socket>();
  let isLosing = false;
  const [host = "", port = ""] = server.split(":");
  const proxy = createServer((client) => {
    const upstream = connect({ host, port: Number(port) });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on("data", (data: Buffer) => {
      if (!isLosing) client.write(data);
    });
  });
  return {
    address: await listen(proxy),
    loseAnswers() {
      isLosing = true;
    },
    cut() {
      isLosing = false;
      for (const socket of [...sockets]) socket.destroy();
    },
  };
}
