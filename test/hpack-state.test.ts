import { HpackEncoder } from "../src/wire/http2/hpack-encoder.ts";
import { HpackError } from "../src/wire/http2/hpack-error.ts";
import { countEntries, createDecoder, decode, encode, encodeHex, hex, listOf, pairs } from "./support/hpack.ts";

/** A literal to be inserted: name and value of one character, 34 bytes in the table. */
const insert = (name: string, value: string) => `4001${hexOf(name)}01${hexOf(value)}`;
const hexOf = (text: string) => Buffer.from(text, "latin1").toString("hex");

describe("a decoder's dynamic table", () => {
  test("has the newest entry first, and drops the oldest when there is no room", () => {
    const decoder = createDecoder({ maxTableBytes: 2 * 34 });
    decode(decoder, insert("a", "1") + insert("b", "2"));
    expect(listOf(decoder, "bebf")).toEqual(pairs("b 2", "a 1"));
    decode(decoder, insert("c", "3"));
    expect(listOf(decoder, "bebf")).toEqual(pairs("c 3", "b 2"));
    expect(countEntries(decoder)).toBe(2);
  });

  test("counts 32 bytes for an entry beside its name and value, to the byte", () => {
    const twice = insert("a", "1") + insert("b", "2");
    const counts = [33, 34, 67, 68].map((maxTableBytes) => {
      const decoder = createDecoder({ maxTableBytes });
      decode(decoder, twice);
      return countEntries(decoder);
    });
    expect(counts).toEqual([0, 1, 1, 2]);
  });

  test("is emptied by an entry that is larger than it, which the list still has", () => {
    const decoder = createDecoder({ maxTableBytes: 40 });
    decode(decoder, insert("a", "1"));
    expect(listOf(decoder, `4001620a${"61".repeat(10)}`)).toEqual(pairs(`b ${"a".repeat(10)}`));
    expect(countEntries(decoder)).toBe(0);
  });

  test("gives an entry's name to the one that pushes it out", () => {
    const decoder = createDecoder({ maxTableBytes: 34 });
    decode(decoder, insert("a", "1"));
    expect(listOf(decoder, "7e0132be")).toEqual(pairs("a 2", "a 2"));
  });

  test("keeps its order while it grows and goes round", () => {
    const decoder = createDecoder({ maxTableBytes: 20 * 34 });
    const names = Array.from({ length: 61 }, (_, index) => String.fromCharCode(48 + index));
    names.forEach((name, index) => {
      decode(decoder, insert(name, "v"));
      const newest = names.slice(Math.max(0, index - 19), index + 1).reverse();
      const all = newest.map((_, age) => (0x80 | (62 + age)).toString(16)).join("");
      expect(listOf(decoder, all)).toEqual(newest.flatMap((each) => [each, "v"]));
    });
    expect(countEntries(decoder)).toBe(20);
  });

  test("shrinks and grows as several sizes at the start of a block say", () => {
    const decoder = createDecoder({ maxTableBytes: 4096 });
    decode(decoder, insert("a", "1") + insert("b", "2"));
    expect(listOf(decoder, "3f03 be")).toEqual(pairs("b 2")); // 34 bytes
    expect(countEntries(decoder)).toBe(1);
    decode(decoder, `20 3fe11f ${insert("c", "3")}${insert("d", "4")}`); // 0, then 4,096
    expect(countEntries(decoder)).toBe(2);
    expect(decode(decoder, "20").pairs).toBe(0);
    expect(countEntries(decoder)).toBe(0);
  });
});

describe("a list over the bounds", () => {
  // Each counts 34 bytes.
  const block = insert("a", "1") + insert("b", "2") + insert("c", "3");

  test.each([
    ["nothing is over", {}, 3, false],
    ["lines, just not over", { maxPairs: 3 }, 3, false],
    ["lines", { maxPairs: 2 }, 2, true],
    ["bytes, just not over", { maxListBytes: 102 }, 3, false],
    ["bytes", { maxListBytes: 101 }, 2, true],
    ["all of it", { maxListBytes: 0 }, 0, true],
  ])("holds what came before: %s", (_, options, kept, tooLarge) => {
    const decoder = createDecoder(options);
    expect(decode(decoder, block)).toEqual({
      list: pairs("a 1", "b 2", "c 3").slice(0, 2 * kept),
      ...{ pairs: 3, bytes: 102, tooLarge, parsed: undefined },
    });
    expect(countEntries(decoder)).toBe(3);
  });

  test("ends for good, however small what follows", () => {
    const decoder = createDecoder({ maxListBytes: 100 });
    expect(listOf(decoder, `82 0001610a${"61".repeat(10)} 0001610a${"61".repeat(10)} 82`)).toEqual(
      pairs(":method GET", "a aaaaaaaaaa"),
    );
  });

  test("costs no memory for what a few bytes refer to a million times", () => {
    const decoder = createDecoder({ maxListBytes: 16_384, maxPairs: 100 });
    decode(decoder, `400161 7fa11e ${"61".repeat(4000)}`);
    const { list, pairs, bytes, tooLarge } = decoder.decode(Buffer.alloc(1_000_000, 0xbe), 0, 1_000_000);
    expect([list.length, pairs, bytes, tooLarge]).toEqual([2 * 4, 1_000_000, 4_033 * 1_000_000, true]);
  });
});

describe("a block that comes again", () => {
  test("is the same object, with what its user has made of it", () => {
    const decoder = createDecoder();
    decode(decoder, insert("a", "1"));
    const first = decode(decoder, "82be");
    first.parsed = "parsed";
    expect(decode(decoder, "82be")).toBe(first);
    expect(decode(decoder, "82be").parsed).toBe("parsed");
    expect(decode(decoder, "83be")).not.toBe(first);
    expect(decode(decoder, "82").list).toEqual(pairs(":method GET"));
  });

  test("is found wherever it lies, and by its bytes as they were when it came", () => {
    const decoder = createDecoder();
    const bytes = hex("8287");
    const first = decoder.decode(bytes, 0, 2);
    bytes[1] = 0x86;
    expect(decoder.decode(bytes, 0, 2).list).toEqual(pairs(":method GET", ":scheme http"));
    expect(decoder.decode(hex("00 82 87 00"), 1, 3)).toBe(first);
  });

  test("with literals that are not indexed is the same object from the third time on", () => {
    const decoder = createDecoder();
    const block = "82 04 02 2f61 10 0161 0162";
    const [first, second, third] = [decode(decoder, block), decode(decoder, block), decode(decoder, block)];
    expect(second).not.toBe(first);
    expect(third).toBe(second);
    expect(third).toEqual(first);
  });

  test.each([
    ["an insertion", insert("b", "2"), ["b", "2"]],
    ["an eviction, by a large entry", `400162 7f8120 ${"61".repeat(4224)}`, undefined],
    ["another size", "20 3fe11f", undefined],
  ])("means something else after %s", (_, between, expected) => {
    const decoder = createDecoder();
    decode(decoder, insert("a", "1"));
    for (let count = 0; count < 3; count++) expect(listOf(decoder, "be")).toEqual(["a", "1"]);
    decode(decoder, between);
    if (expected === undefined) expect(() => decode(decoder, "be")).toThrow(HpackError);
    else expect(listOf(decoder, "be")).toEqual(expected);
  });

  test("is told apart from one of the same hash", () => {
    // Found by trying, for the hash of today.
    const [one, other] = ["8a84b29d83918cbd", "a78fa59a92b28aac"];
    const decoder = createDecoder();
    for (const block of [one, other, one, other]) expect(listOf(decoder, block)).toEqual(listOf(createDecoder(), block));
  });

  test("is not kept when its list is over the bounds, or it is long", () => {
    const decoder = createDecoder({ maxPairs: 1 });
    for (let count = 0; count < 3; count++) expect(decode(decoder, "8287")).not.toBe(decode(decoder, "8287"));
    const [short, long] = ["82".repeat(128), "82".repeat(129)];
    expect(decode(createDecoder(), short).pairs).toBe(128);
    const other = createDecoder();
    expect(decode(other, short)).toBe(decode(other, short));
    expect(decode(other, long)).not.toBe(decode(other, long));
  });

  test("inserts again when it inserts", () => {
    const decoder = createDecoder();
    for (let count = 1; count < 5; count++) {
      decode(decoder, insert("a", "1"));
      expect(countEntries(decoder)).toBe(count);
    }
  });

  test("is not mistaken for another, even when there are more than are remembered", () => {
    const decoder = createDecoder();
    for (let round = 0; round < 4; round++) {
      for (let index = 0; index < 61 * 61; index++) {
        const [one, other] = [0x81 + (index % 61), 0x81 + Math.floor(index / 61)];
        const expected = [
          ...decode(createDecoder(), one.toString(16)).list,
          ...decode(createDecoder(), other.toString(16)).list,
        ];
        const { list } = decoder.decode(Buffer.from([one, other]), 0, 2);
        if (list.join("\n") !== expected.join("\n")) throw new Error(`${list} for ${expected}`);
      }
    }
  });
});

describe("an encoder", () => {
  test("uses the static table, whole fields and names", () => {
    const list = pairs(":method POST", ":scheme https", ":status 404", "content-length 5", "etag x");
    expect(encodeHex(new HpackEncoder(), list)).toBe("83878d 0f0d0135 0f130178".replaceAll(" ", ""));
  });

  test.each([":path /a", ":authority a", "content-type a", "te trailers", "grpc-status 0", ":status 201"])(
    "indexes %s at once",
    (field) => {
      const encoder = new HpackEncoder();
      encode(encoder, pairs(field));
      expect(encodeHex(encoder, pairs(field))).toBe("be");
    },
  );

  test("indexes any other field when its value comes the second time in a row", () => {
    const encoder = new HpackEncoder();
    const sizes = ["1", "2", "1", "1", "1", "2", "1"].map((value) => encode(encoder, pairs(`x-a ${value}`)).length);
    // At the end the name has an index, and the "1" its own.
    expect(sizes).toEqual([7, 7, 7, 7, 1, 4, 1]);
  });

  test.each([
    "grpc-timeout",
    "connect-timeout-ms",
    "content-length",
    "traceparent",
    "date",
    "grpc-message",
    "grpc-status-details-bin",
  ])("never indexes %s", (name) => {
    const encoder = new HpackEncoder();
    const blocks = [1, 2, 3, 4].map(() => encodeHex(encoder, [name, "v"]));
    expect(new Set(blocks).size).toBe(1);
    expect(blocks[0]).toMatch(/^0/);
  });

  test.each(["authorization", "cookie", "proxy-authorization", "set-cookie"])("says that nobody may index %s", (name) => {
    const encoder = new HpackEncoder();
    for (let count = 0; count < 4; count++) expect(encodeHex(encoder, [name, "v"])).toMatch(/^1f/);
  });

  test("leaves values that change, or are long, out of the table, so that they push nothing out", () => {
    const encoder = new HpackEncoder();
    const stable = pairs(":path /a", "content-type application/grpc");
    encode(encoder, stable);
    for (let index = 0; index < 2000; index++) {
      encode(encoder, ["x-request-id", `${index}`, ":path", `/a?message=${index}`, "user-agent", "a".repeat(1025)]);
    }
    expect(encodeHex(encoder, stable)).toBe("bfbe");
  });

  test("is understood when names without number come and go", () => {
    const [encoder, decoder] = [new HpackEncoder(), createDecoder()];
    for (let index = 0; index < 2000; index++) {
      const list = pairs(`x-${index % 300} ${index % 7}`, `x-${index % 3} v`, ":path /a");
      expect(listOf(decoder, encodeHex(encoder, list))).toEqual(list);
    }
  });

  test("forgets the name that it has known longest when there are more than 256", () => {
    const encoder = new HpackEncoder();
    encode(encoder, pairs("te trailers", ":path /a"));
    for (let index = 0; index < 255; index++) encode(encoder, pairs(`x-${index} v`));
    expect(encodeHex(encoder, pairs(":path /a"))).toBe("be");
    expect(encodeHex(encoder, pairs("te trailers"))).toMatch(/^40/);
  });

  test("wants to see a value twice again once it has left the table", () => {
    const encoder = new HpackEncoder(40);
    const forms = ["x-a 1", "x-a 1", "x-a 1", "te a", "x-a 1"].map((field) => encodeHex(encoder, pairs(field)).slice(0, 2));
    expect(forms.slice(1)).toEqual(["40", "be", "40", "00"]);
  });

  test("asks for enough room, however long names, values and announcements are", () => {
    const encoder = new HpackEncoder(2 ** 31);
    const list = Array.from({ length: 40 }, (_, index) => [`${index}`.padEnd(300, "n"), "v".repeat(300)]).flat();
    for (const size of [0, 2 ** 31 - 1]) encoder.setPeerTableBytes(size);
    expect(listOf(createDecoder({ maxTableBytes: 2 ** 31 }), encodeHex(encoder, list))).toEqual(list);
  });

  test("comes to index what a frozen list repeats", () => {
    const encoder = new HpackEncoder();
    const list = Object.freeze(pairs("x-a 1"));
    expect([1, 2, 3, 4].map(() => encode(encoder, list).length)).toEqual([7, 7, 1, 1]);
  });

  test("keeps the block of a frozen list for itself", () => {
    const encoder = new HpackEncoder();
    const [list, into] = [Object.freeze(pairs(":method GET", ":path /a")), Buffer.alloc(100)];
    for (let count = 0; count < 3; count++) {
      into.fill(0);
      const end = encoder.encode(list, into, 10);
      expect(into.subarray(10, end).toString("hex")).toBe(count === 0 ? "8244022f61" : "82be");
    }
  });

  test("sends a frozen list that is settled as it did before, until the table changes", () => {
    const [encoder, decoder] = [new HpackEncoder(), createDecoder()];
    const list = Object.freeze(pairs(":status 200", "content-type application/grpc", "x-a 1", "grpc-message "));
    for (let count = 0; count < 6; count++) expect(listOf(decoder, encodeHex(encoder, list))).toEqual(list);
    const other = pairs("grpc-status 0");
    for (let count = 0; count < 3; count++) {
      expect(listOf(decoder, encodeHex(encoder, other))).toEqual(other);
      expect(listOf(decoder, encodeHex(encoder, list))).toEqual(list);
      encoder.setPeerTableBytes(count * 1000);
    }
  });

  test("reads a list that is not frozen again every time", () => {
    const [encoder, decoder] = [new HpackEncoder(), createDecoder()];
    const list = pairs(":status 200", "te trailers");
    for (const status of ["200", "404", "200", "500"]) {
      list[1] = status;
      expect(listOf(decoder, encodeHex(encoder, list))).toEqual(list);
    }
  });
});

describe("an encoder announces", () => {
  test.each<[string, number, number[], string]>([
    ["nothing when nothing changes", 4096, [4096], ""],
    ["nothing for more than it wants", 4096, [65_536], ""],
    ["a table smaller than the default", 100, [], "3f45"],
    ["no table", 4096, [0], "20"],
    ["a smaller table", 4096, [100], "3f45"],
    ["a larger one up to its own bound", 8192, [65_536], "3fe13f"],
    ["the smallest of several and the last", 4096, [1000, 100, 200], "3f45 3fa901"],
    ["the smallest, then the same as before", 4096, [0, 4096], "20 3fe11f"],
    ["the last alone when it is the smallest", 4096, [1000, 100], "3f45"],
    ["the last alone when all are larger than before", 8192, [5000, 6000], "3fd12e"],
  ])("%s", (_, maxTableBytes, sizes, announced) => {
    const encoder = new HpackEncoder(maxTableBytes);
    for (const size of sizes) encoder.setPeerTableBytes(size);
    expect(encodeHex(encoder, pairs(":method GET"))).toBe(`${announced}82`.replaceAll(" ", ""));
    expect(encodeHex(encoder, pairs(":method GET"))).toBe("82");
  });

  test("a size before a frozen list that it has sent", () => {
    const encoder = new HpackEncoder();
    const list = Object.freeze(pairs(":method GET"));
    for (let count = 0; count < 3; count++) expect(encodeHex(encoder, list)).toBe("82");
    encoder.setPeerTableBytes(0);
    expect(encodeHex(encoder, list)).toBe("2082");
  });

  test("a size before it uses it, so that a decoder of that size follows", () => {
    const [encoder, decoder] = [new HpackEncoder(), createDecoder()];
    const list = pairs(":path /a", ":authority b", "te trailers");
    for (const size of [4096, 40, 0, 80, 4096, 0, 120]) {
      encoder.setPeerTableBytes(size);
      for (let count = 0; count < 3; count++) expect(listOf(decoder, encodeHex(encoder, list))).toEqual(list);
    }
  });
});

describe("an encoder refuses", () => {
  test.each([
    ["", "v"],
    [":", "v"],
    ["::a", "v"],
    ["a:", "v"],
    ["Te", "v"],
    ["a b", "v"],
    ["a\n", "v"],
    ["\u00e9", "v"],
    ["a", "\0"],
    ["a", "v\r"],
    ["a", "v\n"],
    ["a", "\u0100"],
    ["a", "\u{1f600}"],
    ["authorization", "v\n"],
    ["a", `${"v".repeat(2000)}\n`],
  ])("%j with %j, and goes on as if it had never seen the list", (name, value) => {
    const [encoder, decoder] = [new HpackEncoder(), createDecoder()];
    const good = pairs(":path /a", "te trailers");
    expect(listOf(decoder, encodeHex(encoder, good))).toEqual(good);
    encoder.setPeerTableBytes(200);
    const into = Buffer.alloc(100);
    for (let count = 0; count < 3; count++) {
      const bad = [":authority", "new", "x-new", "1", name, value, ":path", "/b"];
      expect(() => encoder.encode(bad, into, 0)).toThrow(TypeError);
    }
    expect(into.equals(Buffer.alloc(100))).toBe(true);
    const next = pairs(":authority new", ...["x-new 1", ":path /b", ":path /a", "te trailers"]);
    for (let count = 0; count < 3; count++) expect(listOf(decoder, encodeHex(encoder, next))).toEqual(next);
  });

  test("and names the field, never its value", () => {
    const refuse = (name: string, value: string) => () => encode(new HpackEncoder(), [name, value]);
    expect(refuse("authorization", "hidden\n")).toThrow(/header field authorization has/);
    expect(refuse("authorization", "hidden\n")).not.toThrow(/hidden/);
    expect(refuse("Bad\n", "hidden")).toThrow(/"Bad\\n" is no name/);
  });

  test("nothing that is Latin-1: tabs, spaces, and what has no meaning in ASCII", () => {
    const value = String.fromCharCode(
      ...Array.from({ length: 256 }, (_, code) => code).filter((code) => ![0, 10, 13].includes(code)),
    );
    expect(listOf(createDecoder(), encodeHex(new HpackEncoder(), ["x-a", ` ${value} `]))).toEqual(["x-a", ` ${value} `]);
  });
});
