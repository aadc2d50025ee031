import Database from "better-sqlite3";
import { memoryBounds } from "../core/index.ts";

/** An entry as the index has it. */
export interface IndexRow {
  readonly thread: string;
  readonly number: number;
  readonly kind: string;
  readonly author: string;
  readonly content: string;
}

/** What is looked for; an empty filter holds for all. */
export interface IndexQuery {
  /** An expression of FTS5. */
  readonly match: string;
  readonly thread: string;
  readonly threadPrefix: string;
  readonly kind: string;
  readonly author: string;
  readonly limit: number;
}

/** An entry that fits, by its place. */
export interface IndexHit {
  readonly thread: string;
  readonly number: number;
  /** The higher, the better. */
  readonly score: number;
  readonly snippet: string;
}

/** A full-text index in memory, at most so large: what was taken in first leaves first. */
export interface SearchIndex {
  /** @returns false when others had to leave. */
  add(rows: readonly IndexRow[]): boolean;
  /** Drops what it has of a thread. */
  remove(thread: string): void;
  search(query: IndexQuery): IndexHit[];
}

/** The content comes last, so that filters read no more of a row than they need. */
const schema = `CREATE VIRTUAL TABLE entries USING fts5(
  thread UNINDEXED, number UNINDEXED, kind UNINDEXED, author UNINDEXED, content, tokenize = "unicode61 remove_diacritics 2"
)`;

/** Ordered by rank, FTS5 sorts before it reads rows and makes snippets. Names of threads are ASCII: none is above DEL. */
const searchSql = `SELECT thread, number, -rank AS score, snippet(entries, 4, '', '', '…', ${memoryBounds.snippetWords}) AS snippet
  FROM entries
  WHERE entries MATCH $match AND thread >= $threadPrefix AND thread < $threadPrefix || char(127)
    AND ($thread = '' OR thread = $thread) AND ($kind = '' OR kind = $kind) AND ($author = '' OR author = $author)
  ORDER BY rank LIMIT $limit`;

/** @param maxBytes of text, beside what each row takes. */
export function createSearchIndex(maxBytes: number): SearchIndex {
  const database = new Database(":memory:");
  database.exec(schema);
  const insert = database.prepare<IndexRow>("INSERT INTO entries VALUES ($thread, $number, $kind, $author, $content)");
  const oldest = database.prepare<[], { rowid: number; content: string }>(
    "SELECT rowid, content FROM entries ORDER BY rowid LIMIT 1",
  );
  const drop = database.prepare<[number]>("DELETE FROM entries WHERE rowid = ?");
  const ofThread = database.prepare<[string], { rowid: number; content: string }>(
    "SELECT rowid, content FROM entries WHERE thread = ?",
  );
  const search = database.prepare<IndexQuery, IndexHit>(searchSql);
  let bytes = 0;

  const dropRow = ({ rowid, content }: { rowid: number; content: string }) => {
    drop.run(rowid);
    bytes -= sizeOf(content);
  };
  const add = database.transaction((rows: readonly IndexRow[]) => {
    for (const row of rows) {
      insert.run(row);
      bytes += sizeOf(row.content);
    }
    let complete = true;
    for (let row = bytes > maxBytes ? oldest.get() : undefined; row !== undefined; ) {
      dropRow(row);
      complete = false;
      row = bytes > maxBytes ? oldest.get() : undefined;
    }
    return complete;
  });
  const remove = database.transaction((thread: string) => {
    for (const row of ofThread.all(thread)) dropRow(row);
  });
  return {
    add,
    remove,
    search: (query) => search.all(query).map((hit) => ({ ...hit, snippet: cut(hit.snippet) })),
  };
}

function sizeOf(content: string): number {
  return Buffer.byteLength(content) + memoryBounds.indexRowBytes;
}

/** A word may be as long as an entry. */
function cut(snippet: string): string {
  if (snippet.length <= memoryBounds.maxSnippetChars) return snippet;
  return `${snippet.slice(0, memoryBounds.maxSnippetChars - 1).replace(/\p{Surrogate}$/u, "")}…`;
}
