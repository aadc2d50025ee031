import { type LogRow, rowChecksum } from "./checksum.ts";
import { Failed } from "./failure.ts";

/** A log's row as it lies in the file. */
export interface StoredLog extends LogRow {
  readonly checksum: number;
}

/** What a {@link StoredLog} is selected by. */
export const logColumns = "id, name, first, length, last_append_ms AS lastAppendMs, emptied, checksum";

/** The row, if it is what was written. @throws Failed */
export function verified({ checksum, ...row }: StoredLog): LogRow {
  if (rowChecksum(row) === checksum) return row;
  throw new Failed({ case: "damaged", why: `its row, of id ${row.id}, does not fit its checksum` });
}
