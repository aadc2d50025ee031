/** Bounds of citations. */
export const citationBounds = {
  /** Characters of a quote that an error shows. */
  maxShownChars: 80,
  /** Characters of a quote, and of what else a model says of it. */
  maxQuoteChars: 4_096,
} as const;
