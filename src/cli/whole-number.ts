import { InvalidArgumentError } from "commander";

/** A whole number of 0 to 4,294,967,295. For commander. */
export function parseWholeNumber(text: string): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number <= 0xffff_ffff) return number;
  throw new InvalidArgumentError("write a whole number of 0 or more");
}
