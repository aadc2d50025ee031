import { setImmediate as turn } from "node:timers/promises";
import { type Envelope, EnvelopeReader, joinEnvelopes } from "../src/wire/envelope.ts";
import { MessageQueue, type MessageQueueOptions } from "../src/wire/message-queue.ts";
import { MessageWriter } from "../src/wire/message-writer.ts";

const bytes = (text: string) => Buffer.from(text);
const textOf = ({ payload }: Envelope) => Buffer.from(payload).toString();
const kibibyte = 1024;

/** A queue of texts that notes what it asks of the wire. */
function createQueue(options: Partial<MessageQueueOptions<string>> = {}) {
  const asked: string[] = [];
  const note = (what: string) => () => void asked.push(what);
  const notes = { pause: note("pause"), resume: note("resume"), left: note("left") };
  return { asked, queue: new MessageQueue<string>({ decode: textOf, ...notes, ...options }) };
}

/** A decoder whose every message waits to be finished by hand. */
function createSlowDecoder() {
  const begun: { text: string; finish: () => void; fail: (reason: unknown) => void }[] = [];
  const decode = (envelope: Envelope) =>
    new Promise<string>((resolve, reject) => {
      const text = textOf(envelope);
      begun.push({ text, finish: () => resolve(text), fail: reject });
    });
  return { begun, decode };
}

const value = (text: string) => ({ done: false, value: text });
const end = { done: true, value: undefined };

describe("a message queue", () => {
  test("gives messages in the order they came, whether they or their reader came first", async () => {
    const { queue } = createQueue();
    queue.push(0, bytes("one"));
    const waiting = [queue.next(), queue.next(), queue.next()];
    queue.push(0, bytes("two"));
    queue.push(0, bytes("three"));
    queue.end();
    expect(await Promise.all(waiting)).toEqual([value("one"), value("two"), value("three")]);
    expect(await queue.next()).toEqual(end);
  });

  test("decodes one message at a time where decoding takes a while", async () => {
    const { begun, decode } = createSlowDecoder();
    const { queue } = createQueue({ decode });
    for (const text of ["one", "two", "three"]) queue.push(0, bytes(text));
    queue.end();
    const read = Promise.all([queue.next(), queue.next(), queue.next(), queue.next()]);
    for (const text of ["one", "two", "three"]) {
      await turn();
      expect(begun.at(-1)?.text).toBe(text);
      begun.at(-1)?.finish();
    }
    expect(await read).toEqual([value("one"), value("two"), value("three"), end]);
    expect(begun).toHaveLength(3);
  });

  test.each([
    ["messages of 64 KiB", 64 * kibibyte, 4],
    ["empty messages", 0, 4 * kibibyte],
  ])("asks for a pause over 256 KiB of %s, once, and goes on below half of it", async (_what, length, fitting) => {
    const { queue, asked } = createQueue();
    const payload = Buffer.alloc(length);
    let count = 0;
    while (asked.length === 0) {
      queue.push(0, payload);
      count++;
    }
    expect(count).toBeGreaterThanOrEqual(fitting);
    expect(count).toBeLessThanOrEqual(fitting + 1);
    queue.push(0, payload);
    expect(asked).toEqual(["pause"]);
    let left = count + 1;
    for (; asked.length === 1; left--) await queue.next();
    expect(asked).toEqual(["pause", "resume"]);
    expect(left * (length + 64)).toBeLessThanOrEqual(128 * kibibyte);
    expect((left + 1) * (length + 64)).toBeGreaterThan(128 * kibibyte);
  });

  test("throws its failure after the messages before it, once", async () => {
    const { queue } = createQueue();
    const reason = new Error("cut short");
    queue.push(0, bytes("one"));
    queue.end({ reason });
    queue.push(0, bytes("too late"));
    expect(await queue.next()).toEqual(value("one"));
    await expect(queue.next()).rejects.toBe(reason);
    expect(await queue.next()).toEqual(end);
  });

  test("drops what waits when it is aborted, and throws at once", async () => {
    const { queue } = createQueue();
    const reason = new Error("cancelled");
    queue.push(0, bytes("one"));
    queue.abort(reason);
    await expect(queue.next()).rejects.toBe(reason);
    expect(await queue.next()).toEqual(end);
  });

  test("an abort reaches the reader that waits, and it alone", async () => {
    const { queue } = createQueue();
    const reason = new Error("cancelled");
    const waiting = [queue.next(), queue.next()];
    queue.abort(reason);
    expect(await Promise.allSettled(waiting)).toEqual([
      { status: "rejected", reason },
      { status: "fulfilled", value: end },
    ]);
  });

  test.each(["at once", "later"])("what the decoder throws %s ends it, once", async (when) => {
    const reason = new Error("no message");
    const decode = (): string | Promise<string> => {
      if (when === "later") return Promise.reject(reason);
      throw reason;
    };
    const { queue } = createQueue({ decode });
    queue.push(0, bytes("one"));
    queue.push(0, bytes("two"));
    const results = await Promise.allSettled([queue.next(), queue.next(), queue.next()]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
    expect(results[0]).toEqual({ status: "rejected", reason });
    expect(await queue.next()).toEqual(end);
  });

  test("a reader that leaves is told once, and gets nothing more", async () => {
    const { queue, asked } = createQueue();
    queue.push(0, bytes("one"));
    queue.push(0, bytes("two"));
    for await (const text of queue) {
      expect(text).toBe("one");
      break;
    }
    await queue.return();
    queue.push(0, bytes("three"));
    expect(asked).toEqual(["left"]);
    expect(await queue.next()).toEqual(end);
  });

  test("a reader that leaves after the end has not left", async () => {
    const { queue, asked } = createQueue();
    queue.push(0, bytes("one"));
    queue.end({ reason: new Error("nobody reads this") });
    await queue.return();
    expect(asked).toEqual([]);
    expect(await queue.next()).toEqual(end);
  });

  test("a reader that leaves while it waits gets the end", async () => {
    const { queue } = createQueue();
    const waiting = [queue.next(), queue.next()];
    await queue.return();
    expect(await Promise.all(waiting)).toEqual([end, end]);
  });
});

/** A target that notes its writes and has room until told otherwise. */
function createTarget() {
  const writes: string[][] = [];
  const target = {
    room: true,
    write(written: Uint8Array): boolean {
      const texts: string[] = [];
      new EnvelopeReader(1024 * kibibyte, { envelope: (flags, payload) => texts.push(textOf({ flags, payload })) }).push(
        written,
      );
      writes.push(texts);
      return target.room;
    },
  };
  return { target, writes };
}

describe("a message writer", () => {
  test("writes the messages of one tick, promises included, at once", async () => {
    const { target, writes } = createTarget();
    const writer = new MessageWriter(target, () => {});
    writer.push(0, bytes("one"));
    await Promise.resolve();
    writer.push(0, bytes("two"));
    expect(writes).toEqual([]);
    await turn();
    writer.push(0, bytes("three"));
    await turn();
    expect(writes).toEqual([["one", "two"], ["three"]]);
  });

  test("writes 64 KiB without waiting for the end of the tick", () => {
    const { target, writes } = createTarget();
    const writer = new MessageWriter(target, () => {});
    const large = "x".repeat(32 * kibibyte);
    writer.push(0, bytes(large));
    expect(writes).toEqual([]);
    writer.push(0, bytes(large));
    expect(writes).toEqual([[large, large]]);
  });

  test("begins before its first bytes, and not for none", async () => {
    const { target, writes } = createTarget();
    const seen: number[] = [];
    const writer = new MessageWriter(target, () => seen.push(writes.length));
    await turn();
    writer.flush();
    expect(seen).toEqual([]);
    writer.push(0, bytes("one"));
    await turn();
    expect(seen).toEqual([0]);
  });

  test("has its callers wait while the target is full, until that is drained", async () => {
    const { target } = createTarget();
    const writer = new MessageWriter(target, () => {});
    expect(writer.push(0, bytes("one"))).toBe(true);
    await writer.room();
    target.room = false;
    await turn();
    expect(writer.push(0, bytes("two"))).toBe(false);
    let free = false;
    const room = writer.room().then(() => {
      free = true;
    });
    await turn();
    expect(free).toBe(false);
    writer.drained();
    await room;
    expect(writer.push(0, bytes("three"))).toBe(true);
  });

  test("gives away what waits to whoever writes the end with it", async () => {
    const { target, writes } = createTarget();
    const writer = new MessageWriter(target, () => {});
    writer.push(1, bytes("one"));
    expect(writer.pending).toBe(true);
    expect(writer.take()).toEqual(joinEnvelopes([{ flags: 1, payload: bytes("one") }]));
    expect(writer.pending).toBe(false);
    await turn();
    expect(writes).toEqual([]);
  });

  test("frees whoever waits when it is closed, and keeps nothing from then on", async () => {
    const { target, writes } = createTarget();
    const writer = new MessageWriter(target, () => {});
    target.room = false;
    writer.push(0, bytes("one"));
    await turn();
    const room = writer.room();
    writer.push(0, bytes("two"));
    writer.close();
    await room;
    expect(writer.push(0, bytes("three"))).toBe(true);
    expect(writer.pending).toBe(false);
    await turn();
    expect(writes).toEqual([["one"]]);
  });
});
