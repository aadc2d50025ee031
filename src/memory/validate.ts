import { type FieldViolation, invalidArgument, memoryBounds } from "../core/index.ts";
import type { EntryInit } from "./entry.ts";

const wordPattern = /^[\x21-\x7e]*$/;
/** Half a character, as JSON and JavaScript let one write it; UTF-8 cannot. */
const halfCharacter = /\p{Surrogate}/u;
const maxIdChars = 128;

/** @throws ConnectError INVALID_ARGUMENT when the name is none. */
export function checkThread(thread: string): void {
  const check = new Check();
  check.thread("thread", thread);
  check.finish();
}

/** @throws ConnectError INVALID_ARGUMENT that names every field that is wrong. */
export function checkAppend(thread: string, entries: readonly EntryInit[], expectedLength: number | undefined): void {
  const check = new Check();
  check.thread("thread", thread);
  if (expectedLength !== undefined) check.number("expected_length", expectedLength);
  const { maxAppendEntries, maxAppendBytes } = memoryBounds;
  if (entries.length === 0) check.refuse("entries", "is empty; append at least one");
  if (check.count("entries", entries.length, maxAppendEntries)) {
    const ids = new Set<string>();
    for (const [index, entry] of entries.entries()) {
      checkEntry(check, `entries[${index}]`, entry);
      const { id = "" } = entry;
      if (id !== "" && ids.has(id)) check.refuse(`entries[${index}].id`, `repeats "${id}"; ids must be distinct`);
      ids.add(id);
    }
    const bytes = entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
    if (bytes > maxAppendBytes) check.refuse("entries", `have ${bytes} bytes; at most ${maxAppendBytes} are allowed together`);
  }
  check.finish();
}

function checkEntry(check: Check, at: string, { id = "", kind = "", content, metadata = {}, origin }: EntryInit): void {
  check.word(`${at}.id`, id, maxIdChars);
  check.word(`${at}.kind`, kind, memoryBounds.maxKindChars);
  check.content(`${at}.content`, content);
  check.metadata(`${at}.metadata`, metadata);
  check.word(`${at}.origin.task_id`, origin?.taskId ?? "", maxIdChars);
  check.word(`${at}.origin.agent`, origin?.agent ?? "", maxIdChars);
}

function sizeOf({ content, metadata = {} }: EntryInit): number {
  return [content, ...Object.entries(metadata).flat()].reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
}

/** Collects what is wrong with a request, field by field. */
export class Check {
  readonly #violations: FieldViolation[] = [];

  refuse(field: string, description: string): void {
    this.#violations.push({ field, description });
  }

  /** @throws ConnectError INVALID_ARGUMENT that names every field that is wrong. */
  finish(): void {
    if (this.#violations.length > 0) throw invalidArgument(this.#violations);
  }

  thread(field: string, thread: string): void {
    if (thread === "") this.refuse(field, "is missing; name the thread");
    this.word(field, thread, memoryBounds.maxThreadChars);
  }

  /** May be empty. */
  word(field: string, word: string, maxChars: number): void {
    if (word.length > maxChars) this.refuse(field, `has ${word.length} characters; at most ${maxChars} are allowed`);
    else if (!wordPattern.test(word)) this.refuse(field, "must be printable ASCII without spaces");
  }

  content(field: string, content: string): void {
    const { maxContentBytes } = memoryBounds;
    const bytes = Buffer.byteLength(content);
    if (content === "") this.refuse(field, "is missing; say what is to be remembered");
    else if (bytes > maxContentBytes) this.refuse(field, `has ${bytes} bytes; at most ${maxContentBytes} are allowed`);
    else this.#whole(field, content);
  }

  metadata(field: string, metadata: Readonly<Record<string, string>>): void {
    const { maxMetadataEntries, maxMetadataKeyChars, maxMetadataValueChars } = memoryBounds;
    const pairs = Object.entries(metadata);
    if (!this.count(field, pairs.length, maxMetadataEntries)) return;
    for (const [key, value] of pairs) {
      if (key === "" || key.length > maxMetadataKeyChars || !wordPattern.test(key)) {
        this.refuse(field, `has a key that is not 1 to ${maxMetadataKeyChars} printable ASCII characters without spaces`);
      } else if (value.length > maxMetadataValueChars) {
        this.refuse(`${field}["${key}"]`, `has ${value.length} characters; at most ${maxMetadataValueChars} are allowed`);
      } else this.#whole(`${field}["${key}"]`, value);
    }
  }

  number(field: string, number: number): void {
    if (!Number.isInteger(number) || number < 0) this.refuse(field, `is ${number}; it must be a whole number of 0 or more`);
  }

  /** False when there are too many to be looked at one by one. */
  count(field: string, count: number, most: number): boolean {
    if (count > most) this.refuse(field, `has ${count} entries; at most ${most} are allowed`);
    return count <= most;
  }

  #whole(field: string, text: string): void {
    if (halfCharacter.test(text)) this.refuse(field, "has half a surrogate pair, which is no character");
  }
}
