import { varintBytes, writeVarint } from "../core/index.ts";

/**
 * Texts as protobuf, byte for byte as protobuf-es writes them: nearly all events are short texts, and each is written twice, once for its log and
 * once for its caller. protobuf-es makes three arrays for each, which takes ten times as long.
 */

/** TaskLogEntry: `elapsed_ms` and `text`. TokenChunk: `task_id`, `text`, `index` and `elapsed_ms`. */
const entryTags = { elapsedMs: 0x10, text: 0x22 };
const chunkTags = { taskId: 0x0a, text: 0x12, index: 0x20, elapsedMs: 0x60 };

/** The tag, and a number. */
const maxHeadBytes = 1 + varintBytes(0xffff_ffff);
/** Up to this, a loop is faster than the call that V8 does not inline. */
const loopChars = 32;

interface TextChunk {
  readonly text: string;
  readonly index: number;
  readonly elapsedMs: number | undefined;
}

/** How long {@link writeTextEntry} makes it; 0 for what is no text. */
export function textEntryBytes(text: string | undefined, elapsedMs: number): number {
  if (text === undefined) return 0;
  const length = Buffer.byteLength(text);
  return (elapsedMs === 0 ? 0 : 1 + varintBytes(elapsedMs)) + 1 + varintBytes(length) + length;
}

/** An entry of a task's log. @returns where it ends. */
export function writeTextEntry(bytes: Buffer, start: number, { text, elapsedMs }: { text: string; elapsedMs: number }): number {
  const at = elapsedMs === 0 ? start : writeNumber(bytes, start, { tag: entryTags.elapsedMs, value: elapsedMs });
  return writeText(bytes, at, { tag: entryTags.text, text });
}

/** The field that all chunks of a stream share. */
export function writeTaskId(taskId: string): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(maxHeadBytes + Buffer.byteLength(taskId));
  return bytes.subarray(0, writeText(bytes, 0, { tag: chunkTags.taskId, text: taskId }));
}

/** A chunk that is not the last one. @param taskId what {@link writeTaskId} gave. */
export function writeTextChunk(taskId: Uint8Array, { text, index, elapsedMs }: TextChunk): Uint8Array {
  const bytes = Buffer.allocUnsafe(taskId.length + 3 * maxHeadBytes + Buffer.byteLength(text));
  bytes.set(taskId, 0);
  let at = taskId.length;
  if (text !== "") at = writeText(bytes, at, { tag: chunkTags.text, text });
  if (index !== 0) at = writeNumber(bytes, at, { tag: chunkTags.index, value: index });
  if (elapsedMs !== undefined) at = writeNumber(bytes, at, { tag: chunkTags.elapsedMs, value: elapsedMs });
  return bytes.subarray(0, at);
}

function writeNumber(bytes: Uint8Array, at: number, { tag, value }: { tag: number; value: number }): number {
  bytes[at] = tag;
  return writeVarint(bytes, at + 1, value);
}

function writeText(bytes: Buffer, start: number, { tag, text }: { tag: number; text: string }): number {
  const length = Buffer.byteLength(text);
  bytes[start] = tag;
  let at = writeVarint(bytes, start + 1, length);
  if (length !== text.length || length > loopChars) return at + bytes.write(text, at, length);
  for (let index = 0; index < length; index++) bytes[at++] = text.charCodeAt(index);
  return at;
}
