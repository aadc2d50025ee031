import { Code } from "@connectrpc/connect";
import { createDnsSource, type DnsSourceOptions, type EndpointSource } from "../src/registry/index.ts";
import { type DnsServer, startDns } from "./support/dns-server.ts";

const sources = new Set<EndpointSource>();

afterAll(() => {
  for (const source of sources) source.close();
});

function open(dns: DnsServer, options: Partial<DnsSourceOptions> = {}): EndpointSource {
  const source = createDnsSource({ name: "agents.test", periodMs: 100, timeoutMs: 1_000, servers: [dns.address], ...options });
  sources.add(source);
  return source;
}

const urls = async (source: EndpointSource, query = {}) => (await source.discover(query)).map(({ url }) => url).sort();

test("A and AAAA records with a port are endpoints, as of a headless service", async () => {
  const dns = await startDns();
  dns.zone.set("agents.test", [
    { type: "A", address: "10.0.0.1" },
    { type: "A", address: "10.0.0.2" },
    { type: "AAAA", address: [0xfd, ...Array<number>(14).fill(0), 7] },
  ]);
  const source = open(dns, {
    port: 50_051,
    agent: "scheduler",
    capabilities: ["schedule"],
    zone: "a",
    identity: "spiffe://a/b",
  });
  expect(await urls(source)).toEqual(["http://10.0.0.1:50051", "http://10.0.0.2:50051", "http://[fd00::7]:50051"]);
  expect(await source.discover({ capability: "schedule", limit: 1 })).toMatchObject([
    { agent: "scheduler", zone: "a", identity: "spiffe://a/b", weight: 1, contractSha256: "" },
  ]);
  expect(await urls(source, { capability: "fly" })).toEqual([]);
});

test("SRV records without a port are endpoints: those of the lowest priority, with port and weight", async () => {
  const dns = await startDns();
  dns.zone.set("_grpc._tcp.agents.test", [
    { type: "SRV", priority: 10, weight: 5, port: 1_001, target: "one.agents.test" },
    { type: "SRV", priority: 10, weight: 0, port: 1_002, target: "two.agents.test" },
    { type: "SRV", priority: 20, weight: 9, port: 1_003, target: "spare.agents.test" },
  ]);
  const source = open(dns, { name: "_grpc._tcp.agents.test", scheme: "https" });
  expect((await source.discover({})).map(({ url, weight }) => `${url} ${weight}`).sort()).toEqual([
    "https://one.agents.test:1001 5",
    "https://two.agents.test:1002 1",
  ]);
});

test("it is resolved again and again, and a watch tells of what has changed and of nothing else", async () => {
  const dns = await startDns();
  dns.zone.set("agents.test", [{ type: "A", address: "10.0.0.1" }]);
  const controller = new AbortController();
  const watch = open(dns, { port: 1 }).watch({}, { signal: controller.signal })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await watch.next();
    return done ? undefined : value.map(({ url }) => url);
  };
  expect(await next()).toEqual(["http://10.0.0.1:1"]);
  await dns.asked(); // and the answer is the same
  dns.zone.set("agents.test", [{ type: "A", address: "10.0.0.2" }]);
  expect(await next()).toEqual(["http://10.0.0.2:1"]);
  dns.zone.delete("agents.test"); // a headless service without a ready pod
  expect(await next()).toEqual([]);
  const reason = new Error("enough");
  const waiting = next();
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});

test("the last answer stays while no server gives one; without any it is UNAVAILABLE, until there is one", async () => {
  const dns = await startDns();
  dns.zone.set("agents.test", [{ type: "A", address: "10.0.0.1" }]);
  const known = open(dns, { port: 1 });
  expect(await urls(known)).toEqual(["http://10.0.0.1:1"]);
  dns.failing = true;
  await dns.asked();
  await dns.asked();
  expect(await urls(known)).toEqual(["http://10.0.0.1:1"]);
  const late = open(dns, { port: 1 });
  await expect(late.discover({})).rejects.toMatchObject({ code: Code.Unavailable });
  const controller = new AbortController();
  const watch = late.watch({}, { signal: controller.signal })[Symbol.asyncIterator]();
  const next = watch.next();
  dns.failing = false;
  expect((await next).value).toMatchObject([{ url: "http://10.0.0.1:1" }]);
  controller.abort();
});

test("a closed source ends its watches and answers no more", async () => {
  const dns = await startDns();
  const source = open(dns, { port: 1 });
  const watch = source.watch({}, { signal: new AbortController().signal })[Symbol.asyncIterator]();
  expect((await watch.next()).value).toEqual([]);
  const next = watch.next();
  source.close();
  await expect(next).rejects.toMatchObject({ code: Code.Canceled });
  await expect(source.discover({})).rejects.toMatchObject({ code: Code.Canceled });
});

test.each<[what: string, options: DnsSourceOptions, type: new () => Error]>([
  ["an address", { name: "10.0.0.1", port: 1 }, TypeError],
  ["no name", { name: "" }, TypeError],
  ["a port that is none", { name: "a", port: 70_000 }, TypeError],
  ["a period that is too short", { name: "a", periodMs: 1 }, RangeError],
])("%s is refused", (_, options, type) => {
  expect(() => createDnsSource(options)).toThrow(type);
});
