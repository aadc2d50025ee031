/** Bounds of shared memory, on both sides, that are nobody's to choose. */
export const memoryBounds = {
  /** Characters of a thread's name. */
  maxThreadChars: 128,
  /** The text of one entry, in UTF-8. */
  maxContentBytes: 256 * 1024,
  /** Characters of what kind an entry is. */
  maxKindChars: 64,
  /** Pairs in an entry's metadata. */
  maxMetadataEntries: 32,
  /** Characters of their keys. */
  maxMetadataKeyChars: 128,
  /** Characters of their values. */
  maxMetadataValueChars: 1_024,
  /** Entries of one append. */
  maxAppendEntries: 100,
  /** Text and metadata of one append, in UTF-8: the answer, which says it all again, has to fit into a message. */
  maxAppendBytes: 2 * 1024 * 1024,
  /** Entries of a page when nothing is said. */
  pageEntries: 100,
  /** The most that a page can be asked for. */
  maxPageEntries: 1_000,
  /** A page ends with the entry that makes it this long. */
  maxPageBytes: 1024 * 1024,

  /** Threads whose ids and last hash are known; those not appended to for the longest leave first. */
  maxOpenThreads: 1_000,
  /** Ids of all of them together: some 100 bytes each. */
  maxKnownIds: 1_000_000,
  /** Appends that wait for the one before on their thread. */
  maxWaitingAppends: 1_000,
  /** How often an append is tried when other servers come first; each time that it fails one of them has got on. */
  maxAppendAttempts: 32,
  /** The longest wait between two of them. */
  maxAppendWaitMs: 100,
  /** Bytes of records that are read, checked or taken in before others have a turn. */
  turnBytes: 256 * 1024,
  /** Counted for each record beside its bytes. */
  recordOverheadBytes: 1_024,

  /** Characters of a query. */
  maxQueryChars: 1_024,
  /** Words and phrases of a query. */
  maxQueryTerms: 32,
  /** Results when nothing is said. */
  results: 10,
  /** The most that can be asked for. */
  maxResults: 100,
  /** Results end with the entry that makes them this long. */
  maxResultBytes: 2 * 1024 * 1024,
  /** Words of a snippet (FTS5 takes up to 64). */
  snippetWords: 24,
  /** Characters of a snippet: words can be long. */
  maxSnippetChars: 400,
  /** Searches that wait for the index; one more is RESOURCE_EXHAUSTED. */
  maxWaitingSearches: 100,
  /** How long a search waits for the index to take in what is new. */
  searchPatienceMs: 2_000,
  /** Counted for each row of the index beside its text: FTS5 takes about as much for a short one. */
  indexRowBytes: 256,
  /** Threads that the index takes in. */
  maxIndexedThreads: 100_000,
} as const;
