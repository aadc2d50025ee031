import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { pick, type Random } from "../support/random.ts";

/**
 * What is done to a connection: it is cut in the middle of what it carries; it swallows all that comes from then on; a second one is opened to the
 * server, to which all that the client has sent is said again; a bit is flipped.
 */
export type Harm = "cut" | "stall" | "duplicate" | "corruption";

export interface ProxyOptions {
  /** Ports on this machine; each connection goes to one of them. */
  readonly targets: readonly number[];
  readonly random: Random;
  /** A connection is harmed before it has carried so many bytes, and one that goes on after it again. */
  readonly harmlessBytes: number;
  /** As often as they stand here. */
  readonly harms: readonly [Harm, ...Harm[]];
}

/** A way to servers on which things happen. */
export interface Proxy {
  readonly port: number;
  /** How often each has been done. */
  readonly counts: Readonly<Record<Harm, number>>;
  /** Harms nobody from now on. */
  calm(): void;
  close(): void;
}

/** Most bytes of a client that are said again. */
const maxReplayedBytes = 65_536;

export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const carriers = new Set<Carrier>();
  const counts = { cut: 0, stall: 0, duplicate: 0, corruption: 0 };
  let isCalm = false;
  const server = createServer({ noDelay: true }, (client) => {
    const carrier = new Carrier(client, { ...options, counts, isCalm: () => isCalm });
    carriers.add(carrier);
    client.once("close", () => carriers.delete(carrier));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port, // it listens at a port
    counts,
    calm() {
      isCalm = true;
    },
    close() {
      server.close();
      for (const carrier of carriers) carrier.cut();
    },
  };
}

interface CarrierOptions extends ProxyOptions {
  readonly counts: Record<Harm, number>;
  readonly isCalm: () => boolean;
}

/** One connection through the proxy. */
class Carrier {
  readonly #options: CarrierOptions;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #sent: Buffer[] = [];
  #sentBytes = 0;
  #harm: Harm;
  #harmlessBytes: number;
  #isStalled = false;

  constructor(client: Socket, options: CarrierOptions) {
    this.#options = options;
    this.#client = client;
    this.#server = this.#connect();
    [this.#harm, this.#harmlessBytes] = this.#draw();
    for (const [from, to] of [
      [client, this.#server],
      [this.#server, client],
    ] as const) {
      from.on("data", (bytes: Buffer) => this.#carry(bytes, from, to));
      from.on("drain", () => to.resume());
      from.on("error", () => {}); // the close that follows says it
      from.on("close", () => to.destroy());
    }
  }

  cut(): void {
    this.#client.destroy();
  }

  #connect(): Socket {
    const { targets, random } = this.#options;
    return connect({ host: "127.0.0.1", port: targets[random(targets.length)] ?? 0, noDelay: true });
  }

  #draw(): [Harm, number] {
    const { random, harms, harmlessBytes } = this.#options;
    return [pick(random, ...harms), random(harmlessBytes)];
  }

  #carry(bytes: Buffer, from: Socket, to: Socket): void {
    if (this.#isStalled) return;
    const at = this.#harmlessBytes;
    this.#harmlessBytes -= bytes.length;
    if (this.#harmlessBytes < 0 && !this.#options.isCalm()) this.#do(bytes, at, to);
    else this.#pass(bytes, from, to);
  }

  #pass(bytes: Buffer, from: Socket, to: Socket): void {
    if (from === this.#client && this.#sentBytes < maxReplayedBytes) {
      this.#sent.push(bytes);
      this.#sentBytes += bytes.length;
    }
    if (to.writable && !to.write(bytes)) from.pause();
  }

  #do(bytes: Buffer, at: number, to: Socket): void {
    const from = to === this.#client ? this.#server : this.#client;
    const harm = this.#harm;
    this.#options.counts[harm]++;
    [this.#harm, this.#harmlessBytes] = this.#draw();
    switch (harm) {
      case "cut":
        to.end(bytes.subarray(0, at));
        if (this.#options.random(2) === 0) from.resetAndDestroy();
        else from.destroy();
        return;
      case "stall":
        this.#isStalled = true;
        return;
      case "duplicate":
        this.#pass(bytes, from, to);
        this.#replay();
        return;
      case "corruption":
        this.#pass(flipped(bytes, at, this.#options.random), from, to);
    }
  }

  /** Nobody hears what the server says to it. */
  #replay(): void {
    const second = this.#connect();
    second.on("error", () => {});
    second.resume();
    second.write(Buffer.concat(this.#sent));
    this.#client.once("close", () => second.destroy());
  }
}

function flipped(bytes: Buffer, at: number, random: Random): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << random(8));
  return copy;
}
