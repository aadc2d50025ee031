import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A wire between callers and a server: it stays where it is when the server does not, and can be cut. */
export interface Wire {
  readonly url: string;
  /** The server that new connections reach. */
  lead(to: string): void;
  /** Breaks the connections that there are. */
  cut(): void;
  /** Cuts it for good. */
  close(): void;
}

export async function layWire(): Promise<Wire> {
  let port = 0;
  const sockets = new Set<Socket>();
  const keep = (socket: Socket, other: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      sockets.delete(socket);
      other.destroy();
    });
  };
  const server = createServer((caller) => {
    const callee = connect(port, "127.0.0.1");
    keep(caller, callee);
    keep(callee, caller);
    caller.pipe(callee).pipe(caller);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens at a port
    lead(to) {
      port = Number(new URL(to).port);
    },
    cut,
    close() {
      server.close();
      cut();
    },
  };
}
