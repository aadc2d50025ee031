import { randomBytes } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import type { ClientClosed, ServerClosed, ServerExchange } from "../src/wire/exchange.ts";
import { ClientConnection } from "../src/wire/http2/client-connection.ts";
import type { Connection } from "../src/wire/http2/connection.ts";
import { FrameReader } from "../src/wire/http2/frame-reader.ts";
import type { Pipe } from "../src/wire/http2/output.ts";
import { ServerConnection } from "../src/wire/http2/server-connection.ts";
import { bytesOf, createRandom, mutate, type Random, seed } from "./support/random.ts";

/**
 * Both ends of the engine on a wire of this process: which bytes arrive when, how long each side's pipe is full, and who pauses, is
 * drawn from a seed, so that what went wrong once goes wrong again with SEED.
 */

const simulations = 250;
const brokenConnections = 40_000;
/** Far more than any simulation takes. */
const maxSteps = 20_000;

/** One direction of the wire. */
class Wire implements Pipe {
  to: Connection | undefined;
  from: Connection | undefined;
  ended = false;
  readonly sent: Uint8Array[] = [];
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  #full = false;
  #paused = false;
  readonly #capacity: number;
  readonly #other: () => Wire;

  constructor(capacity: number, other: () => Wire) {
    this.#capacity = capacity;
    this.#other = other;
  }

  write(pieces: readonly Uint8Array[]): boolean {
    for (const piece of pieces) {
      this.sent.push(piece);
      this.#held.push(Buffer.from(piece));
      this.#heldBytes += piece.length;
    }
    this.#full = this.#heldBytes > this.#capacity;
    return !this.#full;
  }

  /** What the reader of this direction does not want now; asked of the writer's own pipe. */
  pause(): void {
    this.#other().#paused = true;
  }

  resume(): void {
    this.#other().#paused = false;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }

  get idle(): boolean {
    return this.#heldBytes === 0 || this.#paused;
  }

  /** Some bytes arrive, or none; a pipe that was full may have room again. */
  move(random: Random): void {
    const first = this.#held[0];
    if (!this.#paused && first !== undefined) {
      const size = Math.min(first.length, 1 + random(random(4) === 0 ? 40 : 40_000));
      if (size === first.length) this.#held.shift();
      else this.#held[0] = first.subarray(size);
      this.#heldBytes -= size;
      this.to?.receive(Buffer.from(first.subarray(0, size)));
    }
    if (!this.#full || this.#heldBytes > this.#capacity / 2) return;
    this.#full = false;
    this.from?.drained();
  }
}

const bounds = (random: Random) => ({
  streamWindowBytes: 65_535 + random(3) * 50_000,
  connectionWindowBytes: 65_535 + random(3) * 200_000,
  maxHeldBytes: 50_000 + random(200_000),
  maxHeaderBytes: 16_384,
  maxHeaderPairs: 100,
  streamResetBurst: 1_000,
  streamResetsPerSecond: 0,
});

interface Pair {
  readonly client: ClientConnection;
  readonly server: ServerConnection;
  readonly wires: readonly [toServer: Wire, toClient: Wire];
}

function connectPair(random: Random, onRequest: (exchange: ServerExchange) => void): Pair {
  const toServer: Wire = new Wire(random(60_000), () => toClient);
  const toClient: Wire = new Wire(random(60_000), () => toServer);
  const nothing = () => {};
  const server = new ServerConnection(
    toClient,
    { address: "", encrypted: false, certificate: undefined },
    { ...bounds(random), maxConcurrentStreams: 1 + random(8), lingerMs: 60_000, onRequest, onOver: nothing },
  );
  const client = new ClientConnection(toServer, {
    ...bounds(random),
    scheme: "http",
    authority: "here",
    onReady: nothing,
    onBusy: nothing,
  });
  Object.assign(toServer, { from: client, to: server });
  Object.assign(toClient, { from: server, to: client });
  client.connected();
  return { client, server, wires: [toServer, toClient] };
}

/** Lets the wire work until nothing moves any more. */
async function settle({ wires }: Pair, random: Random): Promise<void> {
  for (let still = 0, steps = 0; still < 3; steps++) {
    claim(steps < maxSteps, "the wire does not come to rest");
    await turn();
    still = wires.every((wire) => wire.idle) ? still + 1 : 0;
    for (const wire of wires) wire.move(random);
  }
}

/** Sends pieces, each when there is room. */
function pour(pieces: Buffer[], write: (bytes: Buffer) => boolean, end: () => void): () => void {
  const go = () => {
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) if (!write(piece)) return;
    end();
  };
  return go;
}

/** What bodies are cut from: to make new bytes each time would take longer than to send them. */
const material = randomBytes(200_000);

function piecesOf(random: Random): Buffer[] {
  return Array.from({ length: random(6) }, () => {
    const start = random(100_000);
    return material.subarray(start, start + random(random(3) === 0 ? 90_000 : 300));
  });
}

/** Sends back what came, in pieces of its own, now and then asking for a pause. */
function echo(random: Random, told: (how: ServerClosed) => void) {
  return (exchange: ServerExchange) => {
    const waiting: Buffer[] = [];
    let whole = false;
    let over = false;
    let stuck = false;
    const go = () => {
      if (over) return;
      stuck = false;
      for (let piece = waiting.shift(); piece !== undefined; piece = waiting.shift()) {
        if (!exchange.write(piece)) {
          stuck = true;
          return;
        }
      }
      if (!whole) return;
      over = true;
      exchange.end(undefined, ["x-path", exchange.path]);
    };
    exchange.respond(200, ["content-type", "bytes"], true);
    exchange.accept({
      data(bytes) {
        waiting.push(Buffer.from(bytes));
        if (random(5) === 0) {
          exchange.pause();
          setImmediate(() => exchange.resume());
        }
        if (!stuck) go();
      },
      drained: go,
      end() {
        whole = true;
        if (!stuck) go();
      },
      fail: () => {},
      closed: told,
    });
  };
}

/** One call: what it sent, what it got, and how it ended. */
function call({ client }: Pair, path: string, random: Random) {
  const pieces = piecesOf(random);
  const result = { sent: Buffer.concat(pieces), pieces: [] as Buffer[], trailer: "", closed: "" };
  let go = () => {};
  const exchange = client.request(
    { method: "POST", path, headers: ["x-number", String(random(10))] },
    {
      head: () => {},
      data(bytes) {
        result.pieces.push(Buffer.from(bytes));
        if (random(5) !== 0) return;
        exchange.pause();
        setImmediate(() => exchange.resume());
      },
      drained: () => go(),
      end(trailers) {
        result.trailer = trailers.get("x-path") ?? "";
      },
      closed(closed: ClientClosed) {
        result.closed += closed.how;
      },
    },
  );
  go = pour(
    pieces,
    (bytes) => exchange.write(bytes),
    () => exchange.end(),
  );
  go();
  return { result, exchange };
}

async function withSeed(count: number, work: (random: Random, number: number) => Promise<void> | void): Promise<void> {
  const random = createRandom(seed);
  for (let number = 0; number < count; number++) {
    try {
      await work(random, number);
    } catch (thrown) {
      throw new Error(`with SEED=${seed}, simulation ${number}: ${String(thrown)}`, { cause: thrown });
    }
  }
}

function claim(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

test("whatever arrives when, every body comes back whole and in order, and nothing is left", async () => {
  await withSeed(simulations, async (random) => {
    const ends: string[] = [];
    const pair = connectPair(
      random,
      echo(random, (how) => ends.push(how)),
    );
    await settle(pair, random); // before the server's settings a client may open too many streams
    const calls = Array.from({ length: 1 + random(12) }, (_, index) => call(pair, `/${index}`, random).result);
    await settle(pair, random);
    for (const [index, { sent, pieces, trailer, closed }] of calls.entries()) {
      const got = Buffer.concat(pieces);
      claim(got.equals(sent), `call ${index} sent ${sent.length} bytes and got ${got.length}`);
      claim(trailer === `/${index}` && closed === "done", `call ${index} ended ${closed} with trailer ${trailer}`);
    }
    claim(ends.length === calls.length && ends.every((how) => how === "done"), `the server's ends: ${ends.join()}`);
    claim(!pair.client.busy && pair.client.usable, "the client is not at rest");
  });
});

test("resets and a drain in between: each call ends once, on both sides, and the others are whole", async () => {
  await withSeed(simulations, async (random) => {
    let begun = 0;
    let ended = 0;
    const answer = echo(random, () => ended++);
    const pair = connectPair(random, (exchange) => {
      begun++;
      answer(exchange);
      if (random(6) === 0) setImmediate(() => exchange.reset("cancel"));
    });
    const calls = Array.from({ length: 1 + random(12) }, (_, index) => call(pair, `/${index}`, random));
    for (const { exchange } of calls) if (random(4) === 0) setImmediate(() => exchange.reset("cancel"));
    if (random(3) === 0) setImmediate(() => pair.server.drain());
    await settle(pair, random);
    for (const { result } of calls) {
      claim(/^(?:done|reset|refused|unsent)$/.test(result.closed), `a call ended "${result.closed}"`);
      if (result.closed === "done") claim(Buffer.concat(result.pieces).equals(result.sent), "a call that is done is not whole");
    }
    claim(begun === ended, `${begun} requests began and ${ended} ended`);
    claim(!pair.client.busy, "the client is not at rest");
  });
});

test("a client's bytes, broken at random, end in a GOAWAY or not, but never in a throw, and hold no call for ever", async () => {
  const random = createRandom(seed);
  const pair = connectPair(
    random,
    echo(random, () => {}),
  );
  for (let index = 0; index < 6; index++) call(pair, `/${index}`, random);
  await settle(pair, random);
  const good = Buffer.concat(pair.wires[0].sent).subarray(0, 4_000);
  await withSeed(brokenConnections, (each) => {
    let open = 0;
    const sink: Pipe = { write: () => true, pause: () => {}, resume: () => {}, end: () => {}, destroy: () => {} };
    const server = new ServerConnection(
      sink,
      { address: "", encrypted: false, certificate: undefined },
      {
        ...bounds(each),
        maxConcurrentStreams: 4,
        lingerMs: 60_000,
        onRequest(exchange) {
          open++;
          echo(each, () => {})(exchange);
        },
        onOver: () => open--,
      },
    );
    const start = each(good.length);
    const end = Math.min(good.length, start + 1_500);
    server.receive(
      each(20) === 0 ? mutate(good, each) : Buffer.concat([good.subarray(0, start), mutate(good.subarray(start, end), each)]),
    );
    claim(open <= 4, `${open} calls are open`);
    server.lost(undefined);
    claim(open === 0, `${open} calls are left`);
  });
});

test("frames are the same however their bytes are cut", () => {
  const random = createRandom(seed);
  const framesOf = (pieces: readonly Buffer[]): string[] => {
    const seen: string[] = [];
    let body: Buffer[] = [];
    const flush = () => {
      if (body.length > 0)
        seen.push(
          `data of ${Buffer.concat(body)
            .toString("latin1")
            .replace(/\d+\+0:/g, "")}`,
        );
      body = [];
    };
    const reader = new FrameReader({
      open: true,
      data: (streamId, bytes, overhead) => void body.push(Buffer.from(`${streamId}+${overhead}:`), bytes),
      dataEnd(streamId) {
        flush();
        seen.push(`end ${streamId}`);
      },
      frame({ type, flags, streamId, length }, bytes, start) {
        if (body.length > 0)
          seen.push(
            `data of ${Buffer.concat(body)
              .toString("latin1")
              .replace(/\d+\+0:/g, "")}`,
          );
        body = [];
        seen.push(`${type} ${flags} ${streamId} ${bytes.toString("hex", start, start + length)}`);
      },
    });
    for (const piece of pieces) reader.push(piece);
    return seen;
  };
  const frame = (type: number, flags: number, payload: Buffer) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(7, 5);
    return Buffer.concat([head, payload]);
  };
  const padded = frame(0, 9, Buffer.concat([Buffer.from([3]), Buffer.from("body"), Buffer.alloc(3)]));
  const all = Buffer.concat([
    frame(1, 4, bytesOf(random, 50)),
    frame(0, 0, Buffer.from("some data")),
    frame(0, 0, Buffer.alloc(0)),
    frame(6, 0, Buffer.alloc(8)),
    padded,
    frame(0, 1, Buffer.from("x")),
    frame(4, 0, Buffer.alloc(0)),
    frame(200, 255, bytesOf(random, 30)),
  ]);
  const whole = framesOf([all]);
  expect(whole).toHaveLength(9);
  for (let at = 0; at <= all.length; at++) {
    expect(framesOf([all.subarray(0, at), all.subarray(at)])).toEqual(whole);
  }
  expect(framesOf([...all].map((byte) => Buffer.from([byte])))).toEqual(whole);
});
