import { heldOfAll, heldOfEvent } from "../src/core/index.ts";

/** The most that was held, and what is held with one byte more, when it comes in pieces of so many bytes. */
function heldOf(text: string, pieceBytes: number): number[] {
  const held = heldOfEvent();
  const bytes = Buffer.from(text);
  let most = 0;
  for (let from = 0; from < bytes.length; from += pieceBytes)
    most = Math.max(most, held(bytes.subarray(from, from + pieceBytes)));
  return [most, held(Buffer.from("x"))];
}

test.each<[what: string, text: string, most: number, next: number]>([
  ["ends with LF", "data: 1\n\ndata: 2\n\n", 8, 1],
  ["ends with CR", "data: 1\r\rdata: 2\r\r", 8, 1],
  ["ends with CR and LF", "data: 1\r\n\r\ndata: 2\r\n\r\n", 8, 1],
  ["ends with one, then the other", "data: 1\n\r\ndata: 2\r\n\n", 8, 1],
  ["has several lines", "event: a\ndata: 1\n\n", 17, 1],
  ["has lines without an end", "data: 1\n".repeat(100), 800, 801],
  ["is a line without an end", "data: 1", 7, 8],
  ["has many before it", "data: 1\n\n".repeat(100), 8, 1],
  ["comes after empty lines", "\n\n\r\n\r\ndata", 4, 5],
])("of an event that %s no more is counted than is held, however it is cut", (_what, text, most, next) => {
  for (let pieceBytes = 1; pieceBytes <= text.length; pieceBytes++) {
    const [seen, then] = heldOf(text, pieceBytes);
    expect([pieceBytes, seen, then]).toEqual([pieceBytes, most, next]);
  }
});

test("of anything else all is held", () => {
  const held = heldOfAll();
  expect(["{}\n\n", "", "{}"].map((piece) => held(Buffer.from(piece)))).toEqual([4, 4, 6]);
});
