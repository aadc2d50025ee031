import { HpackDecoder } from "../src/wire/http2/hpack-decoder.ts";
import { HpackEncoder } from "../src/wire/http2/hpack-encoder.ts";
import { HpackError } from "../src/wire/http2/hpack-error.ts";
import { createDecoder, encode, hex } from "./support/hpack.ts";
import { bytesOf, createRandom, mutate, pick, type Random, seed } from "./support/random.ts";

let tried = 0;

/** Checks a property for random cases. SEED repeats a run. */
function property(title: string, cases: number, work: (random: Random) => void): void {
  test(title, () => {
    const random = createRandom(seed);
    for (let done = 0; done < cases; done++) {
      try {
        work(random);
      } catch (thrown) {
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        throw new Error(`with SEED=${seed}, case ${done}: ${reason}`, { cause: thrown });
      }
    }
    tried += cases;
  });
}

/** Jest's `expect` costs more than what is tested here. */
function claim(holds: boolean, what: () => string): void {
  if (!holds) throw new Error(what());
}

const bounds = { maxTableBytes: 256, maxListBytes: 600, maxPairs: 12 };

/** Blocks of every representation, to be broken. */
const seeds = [
  "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
  "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
  "20 3f e1 01 4803 3330 32 5807 7072 6976 6174 65 bf be",
  "4883 640e ffc1 c0bf 88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff",
  "1008 7061 7373 776f 7264 0673 6563 7265 74 040c 2f73 616d 706c 652f 7061 7468",
  `40 7f00 ${"61".repeat(127)} 7f05 ${"62".repeat(132)} be be be be be`,
  "be be be be be be be be be be be be be be be be",
].map(hex);

/** Decodes, and checks what holds of every block. @returns whether it was one. */
function survives(decoder: HpackDecoder, bytes: Buffer): boolean {
  try {
    const block = decoder.decode(bytes, 0, bytes.length);
    const { list, pairs } = block;
    let counted = 0;
    for (let index = 0; index < list.length; index++) counted += (list[index] ?? "").length + 16;
    claim(
      block.tooLarge === (block.bytes > bounds.maxListBytes || pairs > bounds.maxPairs),
      () => "tooLarge says what is not so",
    );
    claim(list.length === 2 * pairs || block.tooLarge, () => `${list.length} for ${pairs} lines`);
    claim(list.length <= 2 * bounds.maxPairs && counted <= bounds.maxListBytes, () => "a list over its bounds");
    claim(block.tooLarge || counted === block.bytes, () => `${block.bytes} bytes instead of ${counted}`);
    claim(pairs <= bytes.length, () => "more lines than bytes");
    return true;
  } catch (thrown) {
    if (thrown instanceof HpackError) return false;
    throw thrown;
  }
}

describe("random blocks are lists within the bounds, or refused with an HpackError:", () => {
  // A refusal ends a connection; the table goes on here all the same, so that it is full of whatever came through.
  Error.stackTraceLimit = 0;
  const decoder = new HpackDecoder(bounds);
  let whole = 0;

  property("any bytes", 500_000, (random) => {
    if (survives(decoder, bytesOf(random, 40))) whole++;
  });

  property("blocks with a few bytes changed, cut or repeated", 500_000, (random) => {
    if (survives(decoder, mutate(pick(random, seeds[0] ?? hex(""), ...seeds), random))) whole++;
  });

  test("many of either kind", () => {
    expect(whole).toBeGreaterThan(tried / 20);
    expect(whole).toBeLessThan(tried - tried / 20);
  });
});

const someNames = [":path", ":status", "content-type", "grpc-timeout", "cookie", "x-a", "x-b", "etag", "te", "x-request-id"];

function someList(random: Random, names: readonly string[]): readonly string[] {
  const list = Array.from({ length: random(8) }, () => {
    const name = names[random(names.length)] ?? "";
    const value =
      random(5) === 0
        ? bytesOf(random, 50)
            .toString("latin1")
            .replace(/[\0\r\n]/g, "")
        : `${random(4)}`;
    return [name, random(200) === 0 ? value.padEnd(random(3000), "long ") : value];
  }).flat();
  return random(3) === 0 ? Object.freeze(list) : list;
}

property("lists come out as they went in, over connections whose tables change their sizes", 1_000, (random) => {
  const maxTableBytes = pick(random, 4096, random(300), 65_536);
  const encoder = new HpackEncoder(pick(random, 4096, random(300), 20_000));
  const decoder = createDecoder({ maxTableBytes: Math.max(maxTableBytes, 4096) });
  if (random(2) === 0) encoder.setPeerTableBytes(maxTableBytes);
  const names = random(4) === 0 ? Array.from({ length: 400 }, (_, index) => `x-${index}`) : someNames;
  const repeated = [someList(random, names), someList(random, names)];
  for (let count = 0; count < 60; count++) {
    if (random(20) === 0) encoder.setPeerTableBytes(random(maxTableBytes + 1));
    const list = random(2) === 0 ? (repeated[random(2)] ?? []) : someList(random, names);
    const block = encode(encoder, list);
    const decoded = decoder.decode(block, 0, block.length).list;
    claim(decoded.length === list.length && decoded.every((text, index) => text === list[index]), () =>
      JSON.stringify({ count, list, decoded, block: block.toString("hex") }),
    );
  }
});

property("a decoder that remembers blocks reads what one reads that has never seen them", 2_000, (random) => {
  // Few different blocks, so that many come again before and after the table has changed.
  const history: Buffer[] = [];
  const decoder = createDecoder({ maxTableBytes: 200 });
  const blocks = Array.from({ length: 6 }, () => someBlock(random));
  for (let count = 0; count < 30; count++) {
    const block = blocks[random(blocks.length)] ?? hex("");
    const [found, expected] = [told(decoder, block), told(replay(history), block)];
    claim(found === expected, () => `${found} instead of ${expected} for ${block.toString("hex")} of ${history.length}`);
    if (found === "refused") return;
    history.push(block);
  }
});

function someBlock(random: Random): Buffer {
  const parts = Array.from({ length: 1 + random(4) }, () =>
    pick(random, "82", "87", "be", "be", "bf", "0001610162", `400161013${random(10)}`, "1001610162"),
  );
  return hex((random(10) === 0 ? "20 3f69" : "") + parts.join(""));
}

function told(decoder: HpackDecoder, block: Buffer): string {
  try {
    return JSON.stringify(decoder.decode(block, 0, block.length));
  } catch (thrown) {
    if (thrown instanceof HpackError) return "refused";
    throw thrown;
  }
}

/** A decoder whose table is that of the history, and which has no block of it in mind: each is followed by one that is new. */
function replay(history: readonly Buffer[]): HpackDecoder {
  const decoder = createDecoder({ maxTableBytes: 200 });
  history.forEach((block, index) => {
    const literal = Buffer.concat([block, hex("000161"), Buffer.from([3]), Buffer.from(`${index}`.padStart(3, "0"))]);
    decoder.decode(literal, 0, literal.length);
  });
  return decoder;
}

test("a million cases have been tried", () => {
  expect(tried).toBeGreaterThanOrEqual(1_000_000);
});
