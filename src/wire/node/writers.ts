import type { Socket } from "node:net";

/** The sockets that may still have bytes to send. */
export class Writers {
  readonly #sockets = new Set<Socket>();
  #settle: () => void = () => {};

  add(socket: Socket): void {
    this.#sockets.add(socket);
    const remove = () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#settle();
    };
    socket.once("finish", remove); // ended, and all of it handed to the operating system
    socket.once("close", remove);
  }

  /** Settles when there are none. */
  async emptied(): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
  }
}
