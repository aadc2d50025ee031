import { durationFromMs, durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  AgentService,
  BadRequestSchema,
  type DiscoverResponse,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RegistryService,
  ResourceInfoSchema,
} from "../src/contract/index.ts";
import { unavailable } from "../src/core/index.ts";
import { contractOf } from "../src/registry/index.ts";
import { createMemoryStore } from "../src/store/index.ts";
import { createTransport } from "../src/wire/index.ts";
import { discoverUrls, register, registration, registryClient, startRegistry, watchRegistry } from "./support/registry.ts";

const ana = "spiffe://example.org/ana";
const ben = "spiffe://example.org/ben";

async function failure(call: Promise<unknown>): Promise<ConnectError> {
  const thrown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (thrown instanceof ConnectError) return thrown;
  throw new Error(`the call should have failed with a ConnectError, not with ${thrown}`);
}

const preconditions = (error: ConnectError) =>
  error.findDetails(PreconditionFailureSchema).flatMap(({ violations }) => violations.map(({ type }) => type));
const reasons = (error: ConnectError) => error.findDetails(ErrorInfoSchema).map(({ reason }) => reason);
const resources = (error: ConnectError) => error.findDetails(ResourceInfoSchema).map(({ resourceType }) => resourceType);
const fields = (error: ConnectError) =>
  error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field));

describe("a lease", () => {
  test("reads the same in protobuf, which is written from the store's bytes, and in JSON, also with contracts and a later load", async () => {
    const { url, client } = await startRegistry();
    const contract = contractOf([AgentService]);
    const { id: leaseId, revision } = await register(client, {
      zone: "a",
      identity: ana,
      contractSha256: contract.sha256,
      contract,
    });
    await register(client, { url: "http://10.0.0.2:50051" });
    await client.renew({ leaseId, revision, load: { inFlight: 3, capacity: 300 } });
    const json = createTransport({ baseUrl: url, protocol: "connect", codec: "json" });
    const query = { capability: "schedule", includeContracts: true };
    const byPlace = ({ agents, contracts }: DiscoverResponse) => ({
      agents: agents.toSorted((one, other) => (one.lease?.id ?? "").localeCompare(other.lease?.id ?? "")),
      contracts,
    });
    const inProtobuf = byPlace(await client.discover(query));
    expect(inProtobuf).toEqual(byPlace(await createClient(RegistryService, json).discover(query)));
    expect(inProtobuf.agents).toHaveLength(2);
    expect(inProtobuf.agents.find(({ lease }) => lease?.id === leaseId)).toMatchObject({
      lease: { revision },
      load: { inFlight: 3, capacity: 300 },
    });
    expect(inProtobuf.contracts.map(({ sha256 }) => sha256)).toEqual([contract.sha256]);
    json.close();
  });

  test("is found as it was registered, with its revision and load", async () => {
    const { client } = await startRegistry();
    const startMs = Date.now();
    const lease = await register(client, { zone: "a", identity: ana });
    expect(durationMs(lease.ttl ?? durationFromMs(0))).toBe(60_000);
    await client.renew({ leaseId: lease.id, revision: lease.revision, load: { inFlight: 3, capacity: 10 } });
    const { agents } = await client.discover({ capability: "schedule" });
    expect(agents).toMatchObject([
      {
        registration: {
          agent: { name: "scheduler", capabilities: ["schedule"], version: "1.2.0" },
          endpoints: [{ url: "http://10.0.0.1:50051", zone: "a" }],
          identity: ana,
        },
        lease: { id: lease.id, revision: lease.revision },
        load: { inFlight: 3, capacity: 10 },
      },
    ]);
    const registerTime = agents[0]?.registerTime;
    expect(registerTime && timestampMs(registerTime)).toBeGreaterThanOrEqual(startMs - 1);
  });

  test("ends by itself, and the agent is out of Discover within its time and a second", async () => {
    const { client } = await startRegistry();
    const watch = watchRegistry(client);
    expect(await watch.next()).toMatchObject({ case: "snapshotEnd" });
    const startMs = performance.now();
    const lease = await register(client, { ttlMs: 1_000 });
    expect(await watch.next()).toMatchObject({ case: "put" });
    expect(await watch.next()).toMatchObject({ case: "delete", value: { leaseId: lease.id } });
    const elapsedMs = performance.now() - startMs;
    expect(elapsedMs).toBeGreaterThanOrEqual(999);
    expect(elapsedMs).toBeLessThan(2_000);
    expect(await discoverUrls(client, { capability: "schedule" })).toEqual([]);
    watch.stop();
    const late = await failure(client.renew({ leaseId: lease.id, revision: lease.revision }));
    expect(late.code).toBe(Code.NotFound);
    expect(resources(late)).toEqual(["lease"]);
  });

  test("of who registers the same agent at the same endpoints again takes the place; the one before is stale", async () => {
    const { client } = await startRegistry();
    const first = await register(client, { capabilities: ["schedule", "old"] });
    const second = await register(client, { capabilities: ["schedule", "new"] });
    expect(second.id).toBe(first.id);
    expect(second.revision).toBeGreaterThan(first.revision);
    expect(await discoverUrls(client, { capability: "schedule" })).toHaveLength(1);
    expect(await discoverUrls(client, { capability: "old" })).toEqual([]);
    for (const call of [client.renew, client.deregister]) {
      const stale = await failure(call({ leaseId: first.id, revision: first.revision }));
      expect(stale.code).toBe(Code.FailedPrecondition);
      expect(preconditions(stale)).toEqual(["LEASE_REVISION"]);
    }
    await client.renew({ leaseId: second.id, revision: second.revision });
    expect(await discoverUrls(client, { capability: "new" })).toHaveLength(1);
  });

  test("of one who slept over its end is not renewed when another has taken the place", async () => {
    const { client } = await startRegistry();
    const watch = watchRegistry(client);
    const sleeper = await register(client, { ttlMs: 1_000 });
    while ((await watch.next()).case !== "delete");
    watch.stop();
    await register(client);
    const stale = await failure(client.renew({ leaseId: sleeper.id, revision: sleeper.revision }));
    expect(preconditions(stale)).toEqual(["LEASE_REVISION"]);
  });

  test("ends when it is deregistered, once or twice", async () => {
    const { client } = await startRegistry();
    const { id: leaseId, revision } = await register(client);
    await client.deregister({ leaseId, revision });
    expect(await discoverUrls(client, { capability: "schedule" })).toEqual([]);
    await client.deregister({ leaseId, revision });
    expect((await failure(client.renew({ leaseId, revision }))).code).toBe(Code.NotFound);
  });

  test("without an id is INVALID_ARGUMENT", async () => {
    const { client } = await startRegistry();
    expect(fields(await failure(client.renew({})))).toEqual(["lease_id"]);
  });

  test("lives on at another registry of the same store, and is taken over there", async () => {
    const store = createMemoryStore();
    const [one, other] = [await startRegistry({ store }), await startRegistry({ store })];
    const { id: leaseId, revision } = await register(one.client);
    const watch = watchRegistry(other.client);
    expect(await watch.next()).toMatchObject({ case: "put" });
    // only the registry that gave it can renew it; whoever comes to another one registers there
    expect((await failure(other.client.renew({ leaseId, revision }))).code).toBe(Code.NotFound);
    const next = await register(other.client);
    expect(next.id).toBe(leaseId);
    expect(preconditions(await failure(one.client.renew({ leaseId, revision })))).toEqual(["LEASE_REVISION"]);
    expect(await discoverUrls(one.client, { capability: "schedule" })).toHaveLength(1);
    watch.stop();
  });
});

describe("an identity", () => {
  test("is the registrant's own when it names none", async () => {
    const { url, client } = await startRegistry();
    await register(registryClient(url, ana));
    const { agents } = await client.discover({ capability: "schedule" });
    expect(agents[0]?.registration?.identity).toBe(ana);
  });

  test("of another may not be registered", async () => {
    const { url } = await startRegistry();
    const error = await failure(register(registryClient(url, ana), { identity: ben }));
    expect(error.code).toBe(Code.PermissionDenied);
    expect(reasons(error)).toEqual(["IDENTITY_MISMATCH"]);
  });

  test("keeps its place: others can neither take it over, nor renew, nor end it", async () => {
    const { url, client } = await startRegistry();
    const [byAna, byBen] = [registryClient(url, ana), registryClient(url, ben)];
    const { id: leaseId, revision } = await register(byAna);
    const calls = [
      () => register(byBen),
      () => register(client),
      () => register(client, { identity: ana }),
      () => client.renew({ leaseId, revision }),
      () => client.deregister({ leaseId, revision }),
      () => byBen.renew({ leaseId, revision }),
      () => byBen.deregister({ leaseId, revision }),
    ];
    for (const call of calls) expect(reasons(await failure(call()))).toEqual(["IDENTITY_MISMATCH"]);
    await byAna.renew({ leaseId, revision });
  });
});

describe("Discover", () => {
  const at = (host: number) => `http://10.0.0.${host}:1`;

  test("finds by capability, by name and by both", async () => {
    const { client } = await startRegistry();
    await register(client, { name: "a", capabilities: ["x", "y"], url: at(1) });
    await register(client, { name: "b", capabilities: ["y"], url: at(2) });
    expect(await discoverUrls(client, { capability: "x" })).toEqual([at(1)]);
    expect(await discoverUrls(client, { capability: "y" })).toEqual([at(1), at(2)]);
    expect(await discoverUrls(client, { agent: "b" })).toEqual([at(2)]);
    expect(await discoverUrls(client, { agent: "b", capability: "x" })).toEqual([]);
  });

  test("keeps to a contract, to a range of versions and to a limit", async () => {
    const { client } = await startRegistry();
    const contract = contractOf([AgentService]);
    await register(client, { url: at(1), version: "1.2.0", contractSha256: contract.sha256, contract });
    await register(client, { url: at(2), version: "1.9.3" });
    await register(client, { url: at(3), version: "2.0.0-rc.1" });
    await register(client, { url: at(4), version: "" });
    const found = (query: object) => discoverUrls(client, { capability: "schedule", ...query });
    expect(await found({ contractSha256: contract.sha256 })).toEqual([at(1)]);
    expect(await found({ versionRange: "^1.2" })).toEqual([at(1), at(2)]);
    expect(await found({ versionRange: ">=2.0.0-0" })).toEqual([at(3)]);
    expect(await found({ limit: 3 })).toHaveLength(3);
    expect(await found({})).toHaveLength(4);
  });

  test("gives the asked zone first, and all of them a turn", async () => {
    const { client } = await startRegistry();
    for (let host = 1; host <= 6; host++) await register(client, { url: at(host), zone: host <= 2 ? "near" : "far" });
    const firsts = new Set<string | undefined>();
    for (let call = 0; call < 50; call++) {
      const { agents } = await client.discover({ capability: "schedule", zone: "near" });
      const zones = agents.map(({ registration }) => registration?.endpoints[0]?.zone);
      expect(zones).toEqual(["near", "near", "far", "far", "far", "far"]);
      firsts.add(agents[0]?.registration?.endpoints[0]?.url);
    }
    expect([...firsts].sort()).toEqual([at(1), at(2)]);
  });

  test("gives everybody a turn when there are more than the limit", async () => {
    const { client } = await startRegistry();
    for (let host = 1; host <= 30; host++) await register(client, { url: at(host) });
    const given = new Map<string, number>();
    for (let call = 0; call < 300; call++) {
      for (const url of await discoverUrls(client, { capability: "schedule", limit: 10 }))
        given.set(url, (given.get(url) ?? 0) + 1);
    }
    expect(given.size).toBe(30); // each about 100 times; the bounds are seven deviations away
    for (const times of given.values()) expect(Math.abs(times - 100)).toBeLessThan(57);
  });

  test("gives the contract's bytes when it is asked to, each once", async () => {
    const { client } = await startRegistry();
    const contract = contractOf([AgentService]);
    await register(client, { url: at(1), contractSha256: contract.sha256, contract });
    await register(client, { url: at(2), contractSha256: contract.sha256 }); // known by now
    expect((await client.discover({ capability: "schedule" })).contracts).toEqual([]);
    const { contracts } = await client.discover({ capability: "schedule", includeContracts: true });
    expect(contracts).toMatchObject([{ sha256: contract.sha256, descriptorSet: contract.descriptorSet }]);
  });

  test("of what nobody can is NOT_FOUND; of nothing, or in no range, INVALID_ARGUMENT", async () => {
    const { client } = await startRegistry();
    const unknown = await failure(client.discover({ capability: "fly" }));
    expect(unknown.code).toBe(Code.NotFound);
    expect(resources(unknown)).toEqual(["capability"]);
    expect(fields(await failure(client.discover({})))).toEqual(["capability"]);
    expect(fields(await failure(client.discover({ agent: "a", versionRange: "new", limit: 1_001 })))).toEqual([
      "version_range",
      "limit",
    ]);
  });
});

describe("a contract", () => {
  test("that is not known has to be brought", async () => {
    const { client } = await startRegistry();
    const { sha256 } = contractOf([AgentService]);
    const error = await failure(register(client, { contractSha256: sha256 }));
    expect(error.code).toBe(Code.FailedPrecondition);
    expect(preconditions(error)).toEqual(["CONTRACT"]);
  });

  test.each<[what: string, contract: () => { sha256: string; descriptorSet: Uint8Array }, field: string]>([
    ["of another hash", () => ({ ...contractOf([AgentService]), sha256: "0".repeat(64) }), "contract.sha256"],
    ["that is another one", () => contractOf([RegistryService]), "contract.sha256"],
    [
      "that is too large",
      () => ({ ...contractOf([AgentService]), descriptorSet: new Uint8Array(2 ** 20 + 1) }),
      "contract.descriptor_set",
    ],
  ])("%s is INVALID_ARGUMENT", async (_, contract, field) => {
    const { client } = await startRegistry();
    const { sha256 } = contractOf([AgentService]);
    const brought = { $typeName: "agent.v1.Contract" as const, ...contract() };
    expect(fields(await failure(register(client, { contractSha256: sha256, contract: brought })))).toEqual([field]);
  });

  test("has the same bytes whatever the order of the services", () => {
    const one = contractOf([AgentService, RegistryService]);
    expect(contractOf([RegistryService, AgentService])).toEqual(one);
    expect(contractOf([AgentService]).sha256).not.toBe(one.sha256);
  });
});

describe("Watch", () => {
  test("tells what there is, that this was all, and each change within 200 ms", async () => {
    const { client } = await startRegistry();
    const first = await register(client, { url: "http://10.0.0.1:1" });
    const watch = watchRegistry(client);
    expect(await watch.next()).toMatchObject({ case: "put", value: { lease: { id: first.id } } });
    expect(await watch.next()).toMatchObject({ case: "snapshotEnd", value: { epoch: expect.stringMatching(/./) } });
    let startMs = performance.now();
    const second = await register(client, { url: "http://10.0.0.2:1" });
    expect(await watch.next()).toMatchObject({ case: "put", value: { lease: { id: second.id } } });
    expect(performance.now() - startMs).toBeLessThan(200);
    startMs = performance.now();
    await client.deregister({ leaseId: second.id, revision: second.revision });
    expect(await watch.next()).toMatchObject({ case: "delete", value: { leaseId: second.id, revision: second.revision } });
    expect(performance.now() - startMs).toBeLessThan(200);
    watch.stop();
  });

  test("tells of its capability alone, also when an agent loses it", async () => {
    const { client } = await startRegistry();
    const watch = watchRegistry(client, { capability: "y" });
    expect(await watch.next()).toMatchObject({ case: "snapshotEnd" });
    await register(client, { capabilities: ["x"], url: "http://10.0.0.9:1" });
    const { id } = await register(client, { capabilities: ["x", "y"] });
    expect(await watch.next()).toMatchObject({ case: "put", value: { lease: { id } } });
    await register(client, { capabilities: ["x"] });
    expect(await watch.next()).toMatchObject({ case: "delete", value: { leaseId: id } });
    watch.stop();
  });

  test("tells of load alone once a second, the latest", async () => {
    const { client } = await startRegistry();
    const { id: leaseId, revision } = await register(client);
    const watch = watchRegistry(client);
    while ((await watch.next()).case !== "snapshotEnd");
    const startMs = performance.now();
    for (let inFlight = 1; inFlight <= 20; inFlight++) await client.renew({ leaseId, revision, load: { inFlight } });
    expect(await watch.next()).toMatchObject({ case: "put", value: { load: { inFlight: 20 } } });
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(900);
    watch.stop();
  });

  test("gives each contract once, before the first agent that serves it", async () => {
    const { client } = await startRegistry();
    const contract = contractOf([AgentService]);
    const contractSha256 = contract.sha256;
    await register(client, { url: "http://10.0.0.1:1", contractSha256, contract });
    await register(client, { url: "http://10.0.0.2:1", contractSha256 });
    const watch = watchRegistry(client, { includeContracts: true });
    const cases = [];
    for (let event = 0; event < 4; event++) cases.push((await watch.next()).case);
    expect(cases).toEqual(["contract", "put", "put", "snapshotEnd"]);
    watch.stop();
  });

  test("ends with the server's reason when it drains; leases can still be ended", async () => {
    const { client, registry } = await startRegistry();
    const { id: leaseId, revision } = await register(client);
    const watch = watchRegistry(client);
    while ((await watch.next()).case !== "snapshotEnd");
    registry.drain(unavailable("shutting down", 1_000));
    expect((await failure(watch.next())).code).toBe(Code.Unavailable);
    await client.deregister({ leaseId, revision });
    expect(registry.size).toBe(0);
  });
});

describe("what is registered is checked:", () => {
  const long = "x".repeat(4_097);
  test.each<[what: string, change: (request: ReturnType<typeof registration>) => void, fields: string[]]>([
    ["no registration", (r) => delete r.registration, ["registration"]],
    ["no agent", (r) => delete r.registration?.agent, ["registration.agent"]],
    ["a name", (r) => edit(r.registration?.agent, { name: "a b" }), ["registration.agent.name"]],
    ["a capability", (r) => edit(r.registration?.agent, { capabilities: ["ok", ""] }), ["registration.agent.capabilities[1]"]],
    ["a description", (r) => edit(r.registration?.agent, { description: long }), ["registration.agent.description"]],
    [
      "control characters",
      (r) => edit(r.registration?.agent, { description: "\u001b[2J" }),
      ["registration.agent.description"],
    ],
    ["a version", (r) => edit(r.registration?.agent, { version: "new" }), ["registration.agent.version"]],
    ["no endpoints", (r) => edit(r.registration, { endpoints: [] }), ["registration.endpoints"]],
    ["a zone", (r) => edit(r.registration?.endpoints?.[0], { zone: "a/b" }), ["registration.endpoints[0].zone"]],
    ["a weight", (r) => edit(r.registration?.endpoints?.[0], { weight: 1_001 }), ["registration.endpoints[0].weight"]],
    ["an identity", (r) => edit(r.registration, { identity: "spiffe://A/b" }), ["registration.identity"]],
    ["an identity with dots", (r) => edit(r.registration, { identity: "spiffe://a/../b" }), ["registration.identity"]],
    ["a hash", (r) => edit(r.registration, { contractSha256: "ABC" }), ["registration.contract_sha256"]],
    ["a short time", (r) => edit(r, { ttl: durationFromMs(999) }), ["ttl"]],
    ["a long time", (r) => edit(r, { ttl: durationFromMs(300_001) }), ["ttl"]],
    [
      "several at once",
      (r) => {
        edit(r.registration?.agent, { name: "", version: "1" });
        edit(r.registration, { identity: "ana" });
      },
      ["registration.agent.name", "registration.agent.version", "registration.identity"],
    ],
  ])("%s", async (_, change, expected) => {
    const { client } = await startRegistry();
    const request = registration();
    change(request);
    const error = await failure(client.register(request));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(fields(error)).toEqual(expected);
  });
});

function edit(message: object | undefined, changes: object): void {
  Object.assign(message ?? {}, changes);
}

describe("addresses:", () => {
  const hosts: Record<string, string[]> = {
    "metadata.example": ["10.0.0.1", "169.254.169.254"],
    "agent.example": ["10.0.0.1"],
  };
  const resolve = async (host: string) => hosts[host] ?? Promise.reject(new Error("ENOTFOUND"));

  async function problemOf(url: string, allow?: string[]): Promise<string | undefined> {
    const { client } = await startRegistry({ resolve, ...(allow && { allow }) });
    const thrown = await register(client, { url }).then(
      () => undefined,
      (thrown: ConnectError) => thrown,
    );
    if (thrown === undefined) return undefined;
    expect(thrown.code).toBe(Code.InvalidArgument);
    expect(fields(thrown)).toEqual(["registration.endpoints[0].url"]);
    return thrown.rawMessage;
  }

  test.each([
    "http://127.0.0.1:50051",
    "http://[::1]:50051",
    "https://10.1.2.3:443",
    "https://[fd00::1]:50051",
    "http://203.0.113.7:1",
    "http://agent.example:50051",
  ])("%s is taken", async (url) => {
    expect(await problemOf(url)).toBeUndefined();
  });

  test.each<[url: string, problem: RegExp]>([
    ["http://169.254.169.254:80", /link-local/],
    ["http://169.254.1.1:1", /link-local/],
    ["http://2852039166:80", /must be|link-local/], // 169.254.169.254 as one number
    ["http://0xa9fea9fe:81", /link-local/],
    ["http://0251.0376.0251.0376:81", /link-local/],
    ["http://[fe80::1]:1", /link-local/],
    ["http://[::ffff:169.254.169.254]:81", /link-local/],
    ["http://[::169.254.169.254]:81", /hides another/],
    ["http://[64:ff9b::a9fe:a9fe]:81", /hides another/],
    ["http://[2002:a9fe:a9fe::1]:81", /hides another/],
    ["http://[fd00:ec2::254]:81", /metadata/],
    ["http://100.100.100.200:81", /metadata/],
    ["http://0.0.0.0:1", /no address of a host/],
    ["http://[::]:1", /hides another|no address/],
    ["http://224.0.0.1:1", /no address of a host/],
    ["http://255.255.255.255:1", /no address of a host/],
    ["http://[ff02::1]:1", /no address of a host/],
    ["http://metadata.example:81", /leads to 169\.254\.169\.254, which is link-local/],
    ["http://nowhere.example:81", /cannot be resolved/],
    ["ftp://10.0.0.1:1", /must be http/],
    ["http://user:secret@10.0.0.1:1", /must be http/],
    ["http://10.0.0.1:1/path", /must be http/],
    ["http://10.0.0.1:1/?a", /must be http/],
    ["10.0.0.1:1", /must be http/],
    ["", /must be http/],
  ])("%s is refused", async (url, problem) => {
    expect(await problemOf(url)).toMatch(problem);
  });

  test("outside the allowed ranges are refused, also when a name leads there", async () => {
    expect(await problemOf("http://10.0.0.1:1", ["10.0.0.0/8", "fd00::/8"])).toBeUndefined();
    expect(await problemOf("http://[fd00::1]:1", ["10.0.0.0/8", "fd00::/8"])).toBeUndefined();
    expect(await problemOf("http://11.0.0.1:1", ["10.0.0.0/8"])).toMatch(/is outside 10\.0\.0\.0\/8/);
    expect(await problemOf("http://agent.example:1", ["11.0.0.0/8"])).toMatch(/leads to 10\.0\.0\.1, which is outside/);
    expect(await problemOf("http://169.254.169.254:1", ["0.0.0.0/0"])).toMatch(/never allowed/);
  });

  test.each(["10.0.0.0", "10.0.0.0/33", "all", "::/129"])("%j is no range", async (range) => {
    await expect(startRegistry({ allow: [range] })).rejects.toThrow(RangeError);
  });
});
