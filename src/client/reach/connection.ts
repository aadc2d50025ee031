import type { ClientExchange, ClientRequest, ClientSession, ResponseSink } from "../../wire/index.ts";

/** One connection of a subchannel and the calls on it. It keeps the process alive while there are some. */
export class Connection {
  readonly session: ClientSession;
  #calls = 0;
  #retired = false;

  constructor(session: ClientSession) {
    this.session = session;
  }

  /** Takes one more call now. */
  get free(): boolean {
    return this.session.free;
  }

  get idle(): boolean {
    return this.#calls === 0;
  }

  /** Opens a call's exchange. {@link Connection.release} has to follow. */
  open(request: ClientRequest, sink: ResponseSink): ClientExchange {
    if (this.#calls++ === 0) this.session.hold(true);
    return this.session.open(request, sink);
  }

  /** The call is over. */
  release(): void {
    if (--this.#calls > 0) return;
    this.session.hold(false);
    if (this.#retired) this.session.close();
  }

  /** Closes it as soon as its calls are over. */
  retire(): void {
    this.#retired = true;
    if (this.idle) this.session.close();
  }
}
