import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  createListener,
  createRpcHandler,
  type FinishedCall,
  type Listener,
  type ListenerOptions,
} from "../../src/wire/index.ts";
import { Kinds } from "./kinds.ts";

/** A server of the wire alone. */
export interface WireServer {
  readonly url: string;
  readonly port: number;
  readonly listener: Listener;
  /** Settles with the next call that is over. */
  ended(): Promise<FinishedCall>;
}

const listeners = new Set<Listener>();
const sessions = new Set<ClientHttp2Session>();

afterAll(async () => {
  for (const session of sessions) session.destroy();
  await Promise.all([...listeners].map((listener) => listener.close()));
});

/** Serves {@link Kinds} on a free port, without an agent behind it. */
export async function startKinds(
  implementation: Partial<ServiceImpl<typeof Kinds>>,
  limits: NonNullable<ListenerOptions["limits"]> = {},
): Promise<WireServer> {
  let told: (call: FinishedCall) => void = () => {};
  const { handle } = createRpcHandler({
    routes: (router) => router.service(Kinds, implementation),
    limits,
    onCallEnd: (call) => told(call),
  });
  const listener = createListener({ onRequest: handle, limits });
  listeners.add(listener);
  const { port } = await listener.listen("127.0.0.1", 0);
  const ended = () =>
    new Promise<FinishedCall>((resolve) => {
      told = resolve;
    });
  return { url: `http://127.0.0.1:${port}`, port, listener, ended };
}

/** A bare HTTP/2 connection and the socket below it. */
export async function connectBare({ url, port }: WireServer) {
  const socket = connectTcp({ port, host: "127.0.0.1" });
  const session = connectHttp2(url, { createConnection: () => socket });
  session.on("error", () => {}); // it may be torn down
  sessions.add(session);
  await once(session, "remoteSettings");
  return { socket, session };
}

/** A round trip: what the session sent before has been read by the peer. */
export function roundTrip(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    session.ping((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Resets a stream and does nothing else: Node's own `close` ends the request first, which then looks whole. */
export function resetStream(stream: ClientHttp2Stream, code: number): void {
  stream.end = () => stream;
  stream.close(code);
}

/** Waits until a number stays what it is for twenty beats, and gives it. */
export async function standstill(read: () => number, beat: () => Promise<unknown>): Promise<number> {
  let last = Number.NaN;
  for (let still = 0; still < 20; still++) {
    if (read() !== last) still = 0;
    last = read();
    await beat();
  }
  return last;
}
