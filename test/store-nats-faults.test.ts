import { setImmediate as nextTurn } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { createNatsStore, type LeaseChange, type Store } from "../src/store/index.ts";
import { logHeader } from "../src/store/nats/log-message.ts";
import { createLayout } from "../src/store/nats/subjects.ts";
import { createCutOff } from "./support/cut-off.ts";
import { useNatsStores } from "./support/nats-stores.ts";
import { describeWith, findTool } from "./support/tools.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (entry: Uint8Array) => new TextDecoder().decode(entry);

async function readAll(store: Store, log: string): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of store.read(log, 0)) entries.push(text(entry));
  return entries;
}

/** Reads until an entry is the one named. */
async function followTo(store: Store, log: string, last: string): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of store.read(log, 0, { follow: true })) if (entries.push(text(entry)) && text(entry) === last) break;
  return entries;
}

describeWith(findTool("nats-server", "NATS_SERVER"), "faults of a cluster of three NATS servers", (program) => {
  const stores = useNatsStores(program);

  test("kill -9 of a stream's leader in mid-append: what was acknowledged is there once, and followers miss nothing", async () => {
    const prefix = stores.prefix();
    const [store, reader] = [await stores.open({ prefix }), await stores.open({ prefix })];
    const logs = Array.from({ length: 12 }, (_, index) => `log/${index}`);
    const followers = logs.map((log) => followTo(reader, log, "end"));
    const acknowledged = new Map(logs.map((log): [string, string[]] => [log, []]));
    let isOver = false;
    const writing = logs.map(async (log) => {
      for (let number = 0; !isOver; number++) {
        const length = await store.append(log, [bytes(`${log} ${number}`)]);
        acknowledged.get(log)?.push(`${log} ${number}`);
        expect(length).toBe(number + 1);
      }
      await store.append(log, [bytes("end")]);
    });
    const enough = async (count: number) => {
      while ([...acknowledged.values()].some(({ length }) => length < count)) await store.append("wait", [bytes("x")]);
    };
    await enough(30);
    const victim = await stores.cluster.leaderOf(createLayout(prefix).log("log/0").stream);
    await stores.cluster.kill(victim);
    await enough(60);
    await stores.cluster.start(victim);
    await enough(90);
    isOver = true;
    await Promise.all(writing);
    for (const [index, log] of logs.entries()) {
      const expected = [...(acknowledged.get(log) ?? []), "end"];
      expect(await readAll(reader, log)).toEqual(expected);
      expect(await followers[index]).toEqual(expected);
    }
  }, 90_000);

  /** What the last message of the log "a" says of itself. */
  const lastMessage = async (prefix: string) => {
    const connection = await connect({ servers: [...stores.cluster.servers] });
    const manager = await jetstreamManager(connection);
    const { stream, subject } = createLayout(prefix).log("a");
    const last = await manager.streams.getMessage(stream, { last_by_subj: subject });
    await connection.close();
    return last?.header.get(logHeader) ?? "";
  };

  test("an append whose acknowledgement was lost is found, and not made again", async () => {
    const prefix = stores.prefix();
    const way = await createCutOff(stores.cluster.servers[0] ?? "");
    const [far, near] = [await stores.open({ prefix, servers: way.address }), await stores.open({ prefix })];
    await far.append("a", [bytes("0")]);
    const large = new Uint8Array(1_200_000).fill(120);
    for (const entry of [bytes("1"), large]) {
      const kind = entry === large ? "part" : "entries"; // a large one is several messages, and each waits for its answer
      const before = await lastMessage(prefix);
      way.loseAnswers();
      const appending = far.append("a", [entry]);
      for (let last = before; last === before || !last.startsWith(kind); ) last = await lastMessage(prefix);
      way.cut();
      await appending;
    }
    expect((await readAll(near, "a")).map(({ length }) => length)).toEqual([1, 1, large.byteLength]);
    expect(await far.append("a", [bytes("3")], { expectedLength: 3 })).toBe(4);
  }, 60_000);

  test("what is appended while the connection is away is stored whole", async () => {
    const prefix = stores.prefix();
    const way = await createCutOff(stores.cluster.servers[0] ?? "");
    const [far, near] = [await stores.open({ prefix, servers: way.address }), await stores.open({ prefix })];
    const logs: string[] = [];
    for (let cut = 0; cut < 3; cut++) {
      way.cut();
      const appends: Promise<number>[] = [];
      for (let turn = 0; turn < 20; turn++) {
        const log = `log/${cut}/${turn}`;
        logs.push(log);
        appends.push(far.append(log, [bytes(log), bytes("more")], { expectedLength: 0 }));
        await nextTurn();
      }
      await Promise.all(appends);
    }
    for (const log of logs) expect(await readAll(near, log)).toEqual([log, "more"]);
  }, 60_000);

  test("leases outlive the loss of the leader when they are renewed, and end when they are not", async () => {
    const prefix = stores.prefix();
    const [one, other] = [await stores.open({ prefix }), await stores.open({ prefix })];
    const end = new AbortController();
    const changes = other.watch("", { signal: end.signal })[Symbol.asyncIterator]();
    const told = async () => (await changes.next()).value as LeaseChange; // a watch does not end
    expect(await told()).toEqual({ case: "current" });
    const kept = await one.lease("kept", bytes("0"), 30_000);
    const left = await one.lease("left", bytes("0"), 500);
    const victim = await stores.cluster.leaderOf(createLayout(prefix).leases);
    await stores.cluster.kill(victim);
    await kept.renew(bytes("1"));
    const seen: LeaseChange[] = [];
    while (
      !seen.some((change) => change.case === "delete") ||
      !seen.some((change) => change.case === "put" && text(change.value) === "1")
    ) {
      seen.push(await told());
    }
    expect(seen.filter((change) => change.case === "delete")).toEqual([
      { case: "delete", key: "left", revision: left.revision },
    ]);
    expect((await other.lease("left", bytes("2"), 30_000)).revision).toBeGreaterThan(left.revision);
    await stores.cluster.start(victim);
    await kept.renew();
    end.abort();
  }, 60_000);

  test("without a majority calls are UNAVAILABLE in the end, and go on when it is back; who waits, waits on", async () => {
    const prefix = stores.prefix();
    const store = await stores.open({ prefix });
    await store.append("a", [bytes("0")]);
    const reader = store.read("a", 0, { follow: true })[Symbol.asyncIterator]();
    await reader.next();
    const following = reader.next();
    for (const server of [0, 1]) await stores.cluster.kill(server);
    const unavailable = { code: Code.Unavailable };
    const starting = createNatsStore({ servers: stores.cluster.servers, prefix: "none", connectTimeoutMs: 3_000 });
    const calls = [starting, store.append("b", [bytes("x")]), store.lease("k", bytes(""), 60_000)];
    for (const call of calls) await expect(call).rejects.toMatchObject(unavailable);
    for (const server of [0, 1]) await stores.cluster.start(server);
    expect(await store.append("a", [bytes("1")], { expectedLength: 1 })).toBe(2);
    expect(text((await following).value)).toBe("1");
    await (await store.lease("k", bytes(""), 60_000)).release();
  }, 90_000);
});
