import {
  createListener,
  type ExchangeHandler,
  type Listener,
  type ListenerOptions,
  type RequestSink,
  type ServerExchange,
} from "../../src/wire/index.ts";
import { answerOn, connectPeer, get } from "./frames.ts";

/** The listener with no protocol above it. */
export interface Http2Server {
  readonly port: number;
  readonly listener: Listener;
  /** Paths of the requests that were handed over. */
  readonly seen: readonly string[];
  /** Paths of those that came whole. */
  readonly whole: readonly string[];
}

type Routes = Readonly<Record<string, ExchangeHandler>>;

const listeners = new Set<Listener>();

afterEach(async () => {
  await Promise.all([...listeners].map((listener) => listener.close()));
  listeners.clear();
});

/**
 * Serves on a free port until the test ends. `/` answers with the size of the request's body once that is whole, `/hold` reads and
 * never answers, `/paused` does not even read, `/long` answers with {@link longAnswerBytes}; `routes` adds others.
 */
export async function startHttp2(options: Omit<ListenerOptions, "onRequest"> = {}, routes: Routes = {}): Promise<Http2Server> {
  const seen: string[] = [];
  const whole: string[] = [];
  const all: Routes = {
    "/": (exchange) => {
      let length = 0;
      exchange.accept(
        sink({
          data: (bytes) => {
            length += bytes.length;
          },
          end: () => {
            whole.push(exchange.path);
            exchange.respondWhole(200, ["content-type", "text/plain"], Buffer.from(`got ${length}`));
          },
        }),
      );
    },
    "/hold": (exchange) => exchange.accept(sink({ end: () => whole.push(exchange.path) })),
    "/paused": (exchange) => {
      exchange.accept(sink({}));
      exchange.pause();
    },
    "/long": answerLong,
    ...routes,
  };
  const onRequest = (exchange: ServerExchange) => {
    seen.push(exchange.path);
    const handle = all[exchange.path.split("?")[0] ?? ""];
    if (handle === undefined) exchange.respondWhole(404, []);
    else handle(exchange);
  };
  const listener = createListener({ ...options, onRequest });
  listeners.add(listener);
  const { port } = await listener.listen("127.0.0.1", 0);
  return { port, listener, seen, whole };
}

/** What the answer of `/long` carries. */
export const longAnswerBytes = 100_000;

/** In chunks that fit no frame, and a trailer. */
function answerLong(exchange: ServerExchange): void {
  let left = longAnswerBytes;
  const pour = () => {
    while (left > 0) {
      const chunk = Buffer.alloc(Math.min(left, 30_001));
      left -= chunk.length;
      if (left === 0) exchange.end(chunk, ["x-end", "1"]);
      else if (!exchange.write(chunk)) return;
    }
  };
  exchange.accept(sink({ drained: pour }));
  exchange.respond(200, [], true);
  pour();
}

/** A sink that does what it is given and nothing else. */
export function sink(given: Partial<RequestSink>): RequestSink {
  return { data() {}, drained() {}, end() {}, fail() {}, closed() {}, ...given };
}

/** That another connection is served, and that nothing is left of the one that has gone. */
export async function expectHarmless({ port, listener }: Http2Server): Promise<void> {
  const other = await connectPeer(port);
  other.send(get(1));
  expect((await answerOn(other, 1)).toString()).toBe("got 0");
  other.socket.destroy();
  await listener.idle();
  expect(listener.inFlight).toBe(0);
}
