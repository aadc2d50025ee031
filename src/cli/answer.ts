import type { Citation } from "../contract/index.ts";
import { sourceList, write } from "./print.ts";

/** An answer as people read it: its text on standard output as it comes, then its sources on standard error. */
export interface Answer {
  /** @throws the error of standard output, such as EPIPE. */
  text(piece: string): Promise<void>;
  citation(citation: Citation): void;
  /** What came so far is void. */
  beginAnew(): Promise<void>;
  /** Ends the last line of the text, so that what is said next starts on its own. */
  endLine(): Promise<void>;
  /** Ends the line and tells the sources. */
  end(): Promise<void>;
}

export function createAnswer(): Answer {
  const citations: Citation[] = [];
  let lineOpen = false;
  const endLine = async () => {
    if (lineOpen) await write("\n");
    lineOpen = false;
  };
  return {
    async text(piece) {
      if (piece === "") return;
      lineOpen = !piece.endsWith("\n");
      await write(piece);
    },
    citation(citation) {
      citations.push(citation);
    },
    async beginAnew() {
      await endLine();
      citations.length = 0;
      process.stderr.write("(the server died; the agent begins anew)\n");
    },
    endLine,
    async end() {
      await endLine();
      process.stderr.write(sourceList(citations));
    },
  };
}
