import { HpackEncoder } from "../src/wire/http2/hpack-encoder.ts";
import { HpackError } from "../src/wire/http2/hpack-error.ts";
import { staticFields } from "../src/wire/http2/hpack-static.ts";
import { decodeHuffman } from "../src/wire/http2/huffman.ts";
import { countEntries, createDecoder, decode, encodeHex, hex, listOf, pairs } from "./support/hpack.ts";

const get = ":method GET";
const example = ":authority www.example.com";
const requests = [
  pairs(get, ":scheme http", ":path /", example),
  pairs(get, ":scheme http", ":path /", example, "cache-control no-cache"),
  pairs(get, ":scheme https", ":path /index.html", example, "custom-key custom-value"),
];
const [moved, date, later, location] = [
  "cache-control private",
  "date Mon, 21 Oct 2013 20:13:21 GMT",
  "date Mon, 21 Oct 2013 20:13:22 GMT",
  "location https://www.example.com",
];
const responses = [
  pairs(":status 302", moved, date, location),
  pairs(":status 307", moved, date, location),
  pairs(
    ":status 200",
    moved,
    later,
    location,
    "content-encoding gzip",
    "set-cookie foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  ),
];

describe("the examples of RFC 7541, appendix C, are read:", () => {
  const singles: [string, string, string[], number][] = [
    [
      "C.2.1 literal with indexing",
      "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      ["custom-key", "custom-header"],
      1,
    ],
    ["C.2.2 literal without indexing", "040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"], 0],
    ["C.2.3 literal never indexed", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"], 0],
    ["C.2.4 indexed field", "82", pairs(get), 0],
  ];
  test.each(singles)("%s", (_, block, list, entries) => {
    const decoder = createDecoder();
    expect(listOf(decoder, block)).toEqual(list);
    expect(countEntries(decoder)).toBe(entries);
  });

  test("C.1 integers", () => {
    // Zeros may follow up to the bound.
    expect(listOf(createDecoder(), "3f8080808000 82")).toEqual(pairs(get));
    // 10 and 1337 with a prefix of five bits, as sizes of the table; 42 with a whole byte's as a length.
    expect(listOf(createDecoder(), "2a 3f9a0a 82")).toEqual(pairs(get));
    expect(() => decode(createDecoder({ maxTableBytes: 1336 }), "3f9a0a")).toThrow(HpackError);
    expect(() => decode(createDecoder({ maxTableBytes: 1337 }), "3f9a0a")).not.toThrow();
    expect(listOf(createDecoder(), `04 2a ${"61".repeat(42)}`)).toEqual([":path", "a".repeat(42)]);
  });

  const connections: [string, number, string[][], string[]][] = [
    [
      "C.3 requests",
      4096,
      requests,
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    ],
    [
      "C.4 requests with Huffman",
      4096,
      requests,
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    ],
    [
      "C.5 responses, with evictions",
      256,
      responses,
      [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
      ],
    ],
    [
      "C.6 responses with Huffman, with evictions",
      256,
      responses,
      [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
      ],
    ],
  ];
  test.each(connections)("%s", (_, maxTableBytes, lists, blocks) => {
    const decoder = createDecoder({ maxTableBytes });
    expect(blocks.map((block) => listOf(decoder, block))).toEqual(lists);
    expect(countEntries(decoder)).toBe(3);
  });

  test.each(connections)("%s, as this encoder writes them", (_, maxTableBytes, lists) => {
    const encoder = new HpackEncoder(maxTableBytes);
    const decoder = createDecoder({ maxTableBytes });
    for (const list of [...lists, ...lists]) expect(listOf(decoder, encodeHex(encoder, list))).toEqual(list);
  });
});

test("every index of the static table stands for its field; 0 and those past both tables for none", () => {
  const decoder = createDecoder();
  staticFields.forEach(({ name, value }, position) => {
    expect(listOf(decoder, (0x81 + position).toString(16))).toEqual([name, value]);
  });
  expect([staticFields.length, staticFields[0]?.name, staticFields[60]?.name]).toEqual([61, ":authority", "www-authenticate"]);
  for (const block of ["80", "be", "ff00", "ffffffff07", "7e0161"])
    expect(() => decode(decoder, block)).toThrow(/stands for no field/);
});

describe("a block that breaks RFC 7541 is refused:", () => {
  const text = "0161";
  test.each([
    ["index 0", "80", /stands for no field/],
    ["an index that nothing has", "be", /stands for no field/],
    ["a name's index that nothing has", `7f00${text}`, /stands for no field/],
    ["an integer that is not over", "ff", /in the middle/],
    ["an integer that is not over after many bytes", "ff8080", /in the middle/],
    ["an integer over 2^31", "ff81ffffff7f", /beyond all bounds/],
    ["an integer of six bytes after the first", "ff808080808000", /beyond all bounds/],
    ["a length over 2^31", "007fffffffff0f", /beyond all bounds/],
    ["no name", "40", /in the middle/],
    ["a name longer than the block", "400261", /in the middle/],
    ["no value", "400161", /in the middle/],
    ["a value longer than the block", "44026f", /in the middle/],
    ["a Huffman value longer than the block", "44821c", /in the middle/],
    ["a size after a field", "8220", /size update after/],
    ["a size after a literal", `44${text}20`, /size update after/],
    ["a size over the one allowed", "3fe21f", /size over/],
    ["a size over the one allowed, after a good one", "20 3fe21f", /size over/],
    ["Huffman: EOS", "0484ffffffff", /EOS/],
    ["Huffman: EOS after a byte", "0485 1ffffffffc", /EOS/],
    ["Huffman: a whole byte of padding", "0481ff", /middle of a code/],
    ["Huffman: a byte of padding after a character", "0482 1fff", /middle of a code/],
    ["Huffman: padding of zeros", "0481 18", /middle of a code/],
    ["Huffman: a zero in the padding", "0481 1d", /middle of a code/],
  ])("%s", (_, block, message) => {
    const decoder = createDecoder();
    expect(() => decode(decoder, block)).toThrow(HpackError);
    expect(() => decode(createDecoder(), block)).toThrow(message);
  });

  test("though whatever is around it in the buffer would complete it", () => {
    const bytes = hex("44 02 6f 6f");
    expect(createDecoder().decode(bytes, 0, 4).list).toEqual([":path", "oo"]);
    for (const end of [1, 2, 3]) expect(() => createDecoder().decode(bytes, 0, end)).toThrow(HpackError);
    expect(() => createDecoder().decode(hex("3f 00"), 0, 1)).toThrow(HpackError);
    expect(createDecoder().decode(hex("ff 82 84"), 1, 2).list).toEqual(pairs(get));
  });
});

describe("Huffman strings", () => {
  // RFC 7541, appendix B: for every length of a code its first and its last.
  test.each([
    ["0", "00000"],
    ["t", "01001"],
    [" ", "010100"],
    ["u", "101101"],
    [":", "1011100"],
    ["z", "1111011"],
    ["&", "11111000"],
    ["Z", "11111101"],
    ["!", "1111111000"],
    ["?", "1111111100"],
    ["'", "11111111010"],
    ["|", "11111111100"],
    ["#", "111111111010"],
    [">", "111111111011"],
    ["\0", "1111111111000"],
    ["~", "1111111111101"],
    ["^", "11111111111100"],
    ["}", "11111111111101"],
    ["<", "111111111111100"],
    ["{", "111111111111110"],
    ["\\", "1111111111111110000"],
    ["\xd0", "1111111111111110010"],
    ["\x80", "11111111111111100110"],
    ["\xe2", "11111111111111101101"],
    ["\x99", "111111111111111011100"],
    ["\xe6", "111111111111111101000"],
    ["\x81", "1111111111111111010010"],
    ["\xe9", "1111111111111111101011"],
    ["\x01", "11111111111111111011000"],
    ["\xef", "11111111111111111110100"],
    ["\t", "111111111111111111101010"],
    ["\xed", "111111111111111111110101"],
    ["\xc7", "1111111111111111111101100"],
    ["\xeb", "1111111111111111111101111"],
    ["\xc0", "11111111111111111111100000"],
    ["\xff", "11111111111111111111101110"],
    ["\xcb", "111111111111111111111011110"],
    ["\xfe", "111111111111111111111110000"],
    ["\x02", "1111111111111111111111100010"],
    ["\xf9", "1111111111111111111111111110"],
    ["\n", "111111111111111111111111111100"],
    ["\x16", "111111111111111111111111111110"],
  ])("have the code of %j: %s", (character, bits) => {
    // Before, between and after others, so that it begins at every bit of a byte.
    for (let count = 0; count < 8; count++) {
      const all = "00000".repeat(count) + bits + "01001".repeat(count);
      const padded = all.padEnd(Math.ceil(all.length / 8) * 8, "1");
      const bytes = Buffer.from(padded.match(/.{8}/g)?.map((byte) => Number.parseInt(byte, 2)) ?? []);
      expect(decodeHuffman(bytes, 0, bytes.length)).toBe("0".repeat(count) + character + "t".repeat(count));
    }
  });

  test("may be empty, and longer than any room that is kept for them", () => {
    expect(decodeHuffman(Buffer.alloc(4), 2, 2)).toBe("");
    expect(decodeHuffman(Buffer.alloc(50_000), 0, 50_000)).toBe("0".repeat(80_000));
  });
});
