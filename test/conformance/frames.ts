import type { Readable } from "node:stream";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

/** Messages as the conformance runner sends them: each after its length in four bytes, big-endian. */
export async function* readMessages<Desc extends DescMessage>(input: Readable, desc: Desc): AsyncGenerator<MessageShape<Desc>> {
  let seen = Buffer.alloc(0);
  for await (const chunk of input) {
    seen = Buffer.concat([seen, chunk]);
    for (let end = endOf(seen); end !== undefined; end = endOf(seen)) {
      yield fromBinary(desc, seen.subarray(4, end));
      seen = seen.subarray(end);
    }
  }
}

/** Writes one message in that form to standard output. */
export function writeMessage<Desc extends DescMessage>(desc: Desc, message: MessageShape<Desc>): void {
  const bytes = toBinary(desc, message);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  process.stdout.write(Buffer.concat([length, bytes]));
}

function endOf(seen: Buffer): number | undefined {
  if (seen.length < 4) return undefined;
  const end = 4 + seen.readUInt32BE();
  return seen.length < end ? undefined : end;
}
