import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import {
  anonymous,
  type CallerIdentity,
  definePolicy,
  type PolicyRequest,
  parsePolicy,
  parseSpiffeId,
} from "../src/identity/index.ts";

const method = "agent.v1.AgentService/ProcessTask";

function agent(id: string): CallerIdentity {
  return { name: id, proof: "mtls", spiffeId: parseSpiffeId(id), expiresMs: Number.POSITIVE_INFINITY };
}

function tokenCaller(issuer: string, subject: string): CallerIdentity {
  const token = { issuer, subject, expiresMs: Number.POSITIVE_INFINITY, claims: {} };
  return { name: `${issuer}#${subject}`, proof: "token", token, expiresMs: token.expiresMs };
}

const scheduler = agent("spiffe://example.org/agent/scheduler");
const ana = tokenCaller("https://issuer.example", "ana");

describe("who: a rule for", () => {
  test.each<[pattern: string, caller: CallerIdentity, allowed: boolean]>([
    ["spiffe://example.org/agent/scheduler", scheduler, true],
    ["spiffe://example.org/agent/schedule", scheduler, false],
    ["spiffe://example.org/agent/scheduler/a", scheduler, false],
    ["spiffe://example.org/*", scheduler, true],
    ["spiffe://example.org/agent/*", scheduler, true],
    ["spiffe://example.org/agent/*", agent("spiffe://example.org/agent/a/b"), true],
    ["spiffe://example.org/agent/*", agent("spiffe://example.org/agent"), false],
    ["spiffe://example.org/agent/*", agent("spiffe://example.org/agents/a"), false],
    ["spiffe://example.org/*", agent("spiffe://example.org.evil.com/agent/scheduler"), false],
    ["spiffe://example.org/*", tokenCaller("spiffe://example.org/agent", "root"), false],
    ["spiffe://example.org/*", ana, false],
    ["spiffe://example.org/*", anonymous, false],
    ["https://issuer.example#ana", ana, true],
    ["https://issuer.example#anna", ana, false],
    ["https://other.example#ana", ana, false],
    ["https://issuer.example#*", ana, true],
    ["https://issuer.example#*", tokenCaller("https://issuer.example", "a#b"), true],
    ["https://issuer.example#a#*", tokenCaller("https://issuer.example", "a#b"), false],
    ["https://issuer.example#*", tokenCaller("https://issuer.example.evil.com", "ana"), false],
    ["https://issuer.example#*", scheduler, false],
    ["anonymous", anonymous, true],
    ["anonymous", scheduler, true], // who may call without a proof may call with one
    ["anonymous", ana, true],
  ])("%s and %j: %s", (pattern, caller, allowed) => {
    expect(definePolicy([{ callers: [pattern] }]).allows(caller, { method })).toBe(allowed);
  });
});

describe("what: a rule for", () => {
  type What = { readonly methods?: readonly string[]; readonly capabilities?: readonly string[] };
  test.each<[what: What, request: PolicyRequest, allowed: boolean]>([
    [{}, { method }, true],
    [{}, { method, capability: "schedule" }, true],
    [{ methods: [method] }, { method }, true],
    [{ methods: [method] }, { method: `/${method}` }, true],
    [{ methods: [method] }, { method: "agent.v1.AgentService/GetTask" }, false],
    [{ methods: [method] }, { method: `${method}2` }, false],
    [{ methods: ["agent.v1.AgentService/*"] }, { method }, true],
    [{ methods: ["agent.v1.AgentService/*"] }, { method: "agent.v1.AgentServices/ProcessTask" }, false],
    [{ methods: ["agent.v1.AgentService/*"] }, { method: "" }, false],
    [{ capabilities: ["schedule"] }, { method, capability: "schedule" }, true],
    [{ capabilities: ["schedule"] }, { method, capability: "research" }, false],
    [{ capabilities: ["schedule"] }, { method }, false],
    [{ capabilities: ["research", "schedule"], methods: [method] }, { method, capability: "schedule" }, true],
    [{ capabilities: ["schedule"], methods: ["agent.v1.AgentService/GetTask"] }, { method, capability: "schedule" }, false],
  ])("%j and %j: %s", (what, request, allowed) => {
    const policy = definePolicy([{ callers: ["spiffe://example.org/*"], ...what }]);
    expect(policy.allows(scheduler, request)).toBe(allowed);
    expect(policy.allows(anonymous, request)).toBe(false);
  });
});

test("one rule that allows is enough, and none denies everything", () => {
  const policy = definePolicy([
    { callers: [scheduler.name], capabilities: ["a"] },
    { callers: ["anonymous"], capabilities: ["b"] },
  ]);
  expect(["a", "b", "c"].map((capability) => policy.allows(scheduler, { method, capability }))).toEqual([true, true, false]);
  expect(definePolicy([]).allows(scheduler, { method })).toBe(false);
});

test("what is not allowed is PERMISSION_DENIED, with a reason and who may not do what", () => {
  const policy = definePolicy([{ callers: ["spiffe://example.org/agent/other"] }]);
  expect(() => definePolicy([{ callers: ["anonymous"] }]).check(scheduler, { method })).not.toThrow();
  let thrown: unknown;
  try {
    policy.check(scheduler, { method: `/${method}`, capability: "schedule" });
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof ConnectError)) throw new Error("it did not fail");
  expect(thrown.code).toBe(Code.PermissionDenied);
  expect(thrown.rawMessage).toBe(`${scheduler.name} may not call ${method} for the capability "schedule"`);
  expect(thrown.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason: "POLICY_DENIED", domain: "convoke" });
});

describe("a policy file", () => {
  test("is a list of rules", () => {
    const rules = [{ callers: ["anonymous"], methods: ["grpc.health.v1.Health/*"] }];
    const policy = parsePolicy(JSON.stringify({ rules }));
    expect(policy.rules).toEqual(rules);
    expect(policy.allows(anonymous, { method: "grpc.health.v1.Health/Check" })).toBe(true);
  });

  const rule = (more: object) => ({ rules: [{ callers: ["anonymous"] }, { callers: ["anonymous"], ...more }] });
  test.each<[value: unknown, why: string]>([
    [[], "a policy is an object"],
    [{}, "rules has to be a list"],
    [{ rules: {} }, "rules has to be a list"],
    [{ rules: [], rule: [] }, 'the policy has the field "rule"; there are rules'],
    [{ rules: ["anonymous"] }, "rules[0] has to be an object with callers"],
    [rule({ capability: ["a"] }), 'rules[1] has the field "capability"; there are callers, capabilities, methods'],
    [rule({ callers: undefined }), "rules[1].callers has to be a list with at least one entry"],
    [rule({ callers: [] }), "rules[1].callers has to be a list with at least one entry"],
    [rule({ callers: ["anonymous", 7] }), "rules[1].callers[1] is 7: it has to be text"],
    [rule({ callers: ["bob"] }), 'rules[1].callers[0] is "bob": write a SPIFFE id'],
    [rule({ callers: ["*"] }), 'rules[1].callers[0] is "*": write a SPIFFE id'],
    [rule({ callers: ["#ana"] }), 'rules[1].callers[0] is "#ana": write issuer#subject'],
    [rule({ callers: ["https://issuer.example#"] }), "write issuer#subject"],
    [rule({ callers: ["spiffe://Example.org/a"] }), "rules[1].callers[0] is"],
    [rule({ callers: ["spiffe://*"] }), "is no SPIFFE id"],
    [rule({ callers: ["spiffe://example.org/a*"] }), "is no SPIFFE id"],
    [rule({ callers: ["spiffe://example.org/*/a"] }), "is no SPIFFE id"],
    [rule({ capabilities: [] }), "rules[1].capabilities has to be a list with at least one entry"],
    [rule({ capabilities: [""] }), "rules[1].capabilities[0]"],
    [rule({ methods: "all" }), "rules[1].methods has to be a list"],
    [rule({ methods: ["ProcessTask"] }), 'rules[1].methods[0] is "ProcessTask": write package.Service/Method'],
    [rule({ methods: ["agent.v1.*/Get"] }), "rules[1].methods[0]"],
  ])("%j is refused: %s", (value, why) => {
    expect(() => parsePolicy(JSON.stringify(value))).toThrow(TypeError);
    expect(() => parsePolicy(JSON.stringify(value))).toThrow(why);
  });

  test("that is no JSON is a SyntaxError", () => {
    expect(() => parsePolicy('{ "rules": [')).toThrow(SyntaxError);
  });
});
