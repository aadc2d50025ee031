import { inspect } from "node:util";

/** A developer's module that could not be loaded: one sentence, and the places in the stack that a developer can use. */
export class ModuleError extends Error {
  override readonly name = "ModuleError";
  /** Whole lines, as Node writes them; empty when Node names no place. */
  readonly places: string;

  constructor(file: string, cause: unknown) {
    const places = placesOf(cause);
    const hint = cause instanceof SyntaxError && places === "" ? `; node ${file} shows where` : "";
    super(`${file} could not be loaded: ${cause instanceof Error ? cause.message : inspect(cause)}${hint}`, { cause });
    this.places = places;
  }
}

const ownFolder = new URL(".", import.meta.url).href;

/** The stack without the frames of Node and of this program, which tell the developer of the module nothing. */
function placesOf(thrown: unknown): string {
  const lines = thrown instanceof Error ? (thrown.stack ?? "").split("\n") : [];
  const own = lines.filter((line) => !(isFrame(line) && (/\bnode:|Promise\.all/.test(line) || line.includes(ownFolder))));
  // Node puts the place of a syntax error, with an arrow below it, before the message.
  return own.some((line) => isFrame(line) || /^\s*\^+$/.test(line)) ? `${own.join("\n")}\n` : "";
}

function isFrame(line: string): boolean {
  return line.startsWith("    at ");
}
