/** Up to this length, building a string here is faster than the call into Node that makes one of bytes. */
const shortBytes = 8;
/** Up to this length, writing a string here is faster than the call into Node. */
const shortLength = 24;

/** The bytes as a string, one character each. */
export function readLatin1(bytes: Buffer, start: number, end: number): string {
  if (end - start > shortBytes) return bytes.toString("latin1", start, end);
  let text = "";
  let at = start;
  for (; at + 3 < end; at += 4) {
    text += String.fromCharCode(bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0, bytes[at + 3] ?? 0);
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at] ?? 0);
  return text;
}

/** Writes a string of characters up to U+00FF, one byte each. @returns the offset after it. */
export function writeLatin1(text: string, into: Buffer, at: number): number {
  if (text.length > shortLength) return at + into.write(text, at, "latin1");
  for (let index = 0; index < text.length; index++) into[at + index] = text.charCodeAt(index);
  return at + text.length;
}
