import type { Socket } from "node:net";
import { timers, wireBounds } from "../../core/index.ts";
import type { Connection } from "../http2/connection.ts";
import type { Pipe } from "../http2/output.ts";

/** A socket as a pipe for HTTP/2. What its connection gets is told by {@link feed}. */
export class SocketPipe implements Pipe {
  readonly #socket: Socket;
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  write(pieces: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (this.#ended || socket.destroyed) return true;
    const [first, ...others] = pieces;
    if (first === undefined) return true;
    if (others.length === 0) return socket.write(first);
    socket.cork();
    let room = socket.write(first);
    for (const piece of others) room = socket.write(piece);
    socket.uncork();
    return room;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** What the peer still sends is dropped: to close a socket with unread bytes would take our last ones from the peer (RFC 9112, section 9.6). */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const socket = this.#socket;
    socket.end();
    socket.resume();
    const due = timers.schedule(wireBounds.closePatienceMs, () => socket.destroy());
    socket.once("close", () => due.cancel());
  }

  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }
}

/** Tells a connection what happens on its socket. @param unexplained why the peer may have ended it, when it gave no reason. */
export function feed(connection: Connection, socket: Socket, unexplained: () => Error | undefined = () => undefined): void {
  let failure: Error | undefined;
  socket.on("data", (bytes: Buffer) => connection.receive(bytes));
  socket.on("drain", () => connection.drained());
  socket.on("end", () => {
    connection.lost(failure ?? unexplained()); // a TLS alert comes as an error before the end
    socket.end();
  });
  socket.on("error", (error) => {
    failure = error;
  });
  socket.on("close", () => connection.lost(failure));
}
