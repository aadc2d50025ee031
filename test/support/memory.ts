import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ThreadEntry, ThreadEntrySchema } from "../../src/contract/index.ts";
import { type Agents, connect } from "../../src/index.ts";

const clients = new Set<Agents>();

afterAll(() => {
  for (const client of clients) client.close();
});

/** A client of a server, until the end of the test file. */
export function clientOf({ url }: { url: string }): Agents {
  const client = connect(url);
  clients.add(client);
  return client;
}

/** The ConnectError that something fails with. */
export async function failureOf(work: Promise<unknown>): Promise<ConnectError> {
  const thrown = await work.then(
    (value) => new Error(`it did not fail but gave ${JSON.stringify(value, (_key, each) => String(each))}`),
    (reason: unknown) => reason,
  );
  if (thrown instanceof ConnectError) return thrown;
  throw thrown;
}

/** The same, as its code's name. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  return Code[(await failureOf(work)).code] ?? "";
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function contentsOf(entries: AsyncIterable<ThreadEntry>): Promise<string[]> {
  return (await collect(entries)).map(({ content }) => content);
}

/** An entry without a chain, for what has to go wrong. */
export function entryOf(init: MessageInitShape<typeof ThreadEntrySchema>): ThreadEntry {
  return create(ThreadEntrySchema, init);
}
