import { HpackError } from "./hpack-error.ts";
import { readLatin1 } from "./latin1.ts";

/**
 * The code of RFC 7541, appendix B: for each byte, and EOS after the last, how many bits its code has, as a digit of base 36. The
 * code is canonical (codes count up by length, then by byte), so the lengths say all of it.
 */
const codeLengths =
  "dnsssssssoussussssssssusssssssss" +
  "6aacd68baa8b8666555666666678f6ca" +
  "d67777777777777777777777878djde6" +
  "f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnno" +
  "mlkmmnnlnmmolmnnllmlnmnnkmmmnmmn" +
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrr" +
  "koklmllnmmppooqnqrqqrrrrrsrrrrrq" +
  "u";
const endOfString = 256;
/** RFC 7541, section 5.2: a string is padded with less than a byte of ones. */
const maxPaddingBits = 7;

/** In an entry of {@link transitions}: the next state in the low byte, the byte found in the second, and these. */
const found = 1 << 16;
const refused = 1 << 17;

const { transitions, endStates } = createAutomaton(createTree());

/** Where decoded bytes are put; strings that need more get room of their own. */
const scratch = Buffer.allocUnsafeSlow(4096);

/**
 * Decodes a string (RFC 7541, section 5.2), one character a byte.
 *
 * @throws HpackError for EOS within it, padding of more than 7 bits, and padding that is not all ones.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  // No code is shorter than 5 bits.
  const maxLength = Math.ceil(((end - start) * 8) / 5);
  const into = maxLength > scratch.length ? Buffer.allocUnsafe(maxLength) : scratch;
  let length = 0;
  let state = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const high = transitions[(state << 4) | (byte >> 4)] ?? refused;
    if (high & found) into[length++] = high >> 8;
    const low = transitions[((high & 0xff) << 4) | (byte & 15)] ?? refused;
    if (low & found) into[length++] = low >> 8;
    if ((high | low) & refused) throw new HpackError("a Huffman string holds EOS");
    state = low & 0xff;
  }
  if (endStates[state] !== 1) throw new HpackError("a Huffman string ends in the middle of a code");
  return readLatin1(into, 0, length);
}

/**
 * The code as a binary tree: node n has its two children at 2n and 2n + 1. A child is the number of a node, or less than 0 for a leaf:
 * ~symbol.
 */
function createTree(): Int16Array {
  const tree = new Int16Array(2 * endOfString);
  const symbols = Array.from(codeLengths, (digit, symbol) => ({ symbol, bits: Number.parseInt(digit, 36) }));
  symbols.sort((one, other) => one.bits - other.bits || one.symbol - other.symbol);
  let nodes = 1;
  let code = 0;
  let codeBits = 0;
  for (const { symbol, bits } of symbols) {
    code <<= bits - codeBits;
    codeBits = bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const child = 2 * node + ((code >> bit) & 1);
      if (tree[child] === 0) tree[child] = nodes++;
      node = tree[child] ?? 0;
    }
    tree[2 * node + (code & 1)] = ~symbol;
    code++;
  }
  return tree;
}

/** A state is a node of the tree; four bits at a time lead on to the next, by one leaf at most. */
function createAutomaton(tree: Int16Array): { transitions: Int32Array; endStates: Uint8Array } {
  const transitions = new Int32Array(endOfString * 16);
  for (let entry = 0; entry < transitions.length; entry++) {
    let node = entry >> 4;
    let flags = 0;
    for (let bit = 3; bit >= 0; bit--) {
      const child = tree[2 * node + ((entry >> bit) & 1)] ?? 0;
      node = Math.max(child, 0);
      if (child < 0) flags |= ~child === endOfString ? refused : found | (~child << 8);
    }
    transitions[entry] = flags | node;
  }
  const endStates = new Uint8Array(endOfString);
  for (let bits = 0, node = 0; bits <= maxPaddingBits; bits++) {
    endStates[node] = 1;
    node = tree[2 * node + 1] ?? 0;
  }
  return { transitions, endStates };
}
