import { permissionDenied } from "../core/index.ts";
import type { CallerIdentity } from "./caller.ts";
import { parseSpiffeId } from "./spiffe.ts";

/** Lets some callers do something. Without `capabilities` or `methods` it is for all of them. */
export interface PolicyRule {
  /**
   * At least one. Each is a SPIFFE id; `spiffe://domain/path/*` for all below a path; `issuer#subject` for a token's caller, and
   * `issuer#*` for all of an issuer; or `anonymous`, which is everybody: who may call without a proof may call with one.
   */
  readonly callers: readonly string[];
  /** Capabilities of agents. A rule with them says nothing of calls that are for no agent. */
  readonly capabilities?: readonly string[];
  /** `package.Service/Method`, or `package.Service/*`. */
  readonly methods?: readonly string[];
}

/** What a caller wants to do. */
export interface PolicyRequest {
  /** `package.Service/Method`; a slash before it does no harm. */
  readonly method: string;
  /** The capability of the agent that is called, for a call that is for one. */
  readonly capability?: string | undefined;
}

/** Who may do what. What no rule allows is denied. */
export interface Policy {
  readonly rules: readonly PolicyRule[];
  allows(caller: CallerIdentity, request: PolicyRequest): boolean;
  /** True when the method is allowed for some capability or without one: all that can be said before a call names its agent. */
  admits(caller: CallerIdentity, method: string): boolean;
  /** @throws ConnectError PERMISSION_DENIED, reason `POLICY_DENIED`, when it is not allowed. */
  check(caller: CallerIdentity, request: PolicyRequest): void;
}

/**
 * Makes a policy of its rules; without any it denies everything.
 *
 * @throws TypeError that names the entry that is wrong, such as `rules[2].callers[0]`.
 */
export function definePolicy(rules: readonly PolicyRule[]): Policy {
  const tests = checkRules(rules).map(compile);
  const allows = (caller: CallerIdentity, request: PolicyRequest) => tests.some((test) => test(caller, request));
  return {
    rules,
    allows,
    admits: (caller, method) => tests.some((test) => test(caller, { method, capability: anyCapability })),
    check(caller, request) {
      if (allows(caller, request)) return;
      const { method, capability } = request;
      const what = capability === undefined ? bare(method) : `${bare(method)} for the capability "${capability}"`;
      throw permissionDenied(`${caller.name} may not call ${what}`, "POLICY_DENIED");
    },
  };
}

/**
 * Reads a policy from JSON: `{ "rules": [{ "callers": ["…"], "capabilities": ["…"], "methods": ["…"] }] }`.
 *
 * @throws TypeError that names the entry that is wrong; SyntaxError for what is no JSON.
 */
export function parsePolicy(json: string): Policy {
  const value: unknown = JSON.parse(json);
  if (!isRecord(value)) throw new TypeError('a policy is an object: { "rules": […] }');
  checkFields("the policy", value, ["rules"]);
  return definePolicy(value["rules"] as readonly PolicyRule[]); // checked there
}

/** Stands for whichever capability a rule names. */
const anyCapability = Symbol("any capability");

type Test = (
  caller: CallerIdentity,
  request: Pick<PolicyRequest, "method"> & { capability?: string | symbol | undefined },
) => boolean;

function compile({ callers, capabilities, methods }: PolicyRule): Test {
  const callerTests = callers.map(callerTest);
  const capabilitySet = capabilities && new Set<string | symbol | undefined>(capabilities);
  const methodSet = methods && new Set(methods);
  return (caller, { method, capability }) => {
    if (capabilitySet !== undefined && capability !== anyCapability && !capabilitySet.has(capability)) return false;
    const path = bare(method);
    if (methodSet !== undefined && !methodSet.has(path) && !methodSet.has(`${path.slice(0, path.indexOf("/"))}/*`))
      return false;
    return callerTests.some((test) => test(caller));
  };
}

/** By the kind of proof first: a token's issuer may be written like a SPIFFE id. */
function callerTest(pattern: string): (caller: CallerIdentity) => boolean {
  if (pattern === "anonymous") return () => true;
  const proof = pattern.includes("#") ? "token" : "mtls";
  const isPrefix = proof === "token" ? pattern.slice(pattern.indexOf("#")) === "#*" : pattern.endsWith("/*");
  const prefix = pattern.slice(0, -1);
  return (caller) => caller.proof === proof && (isPrefix ? caller.name.startsWith(prefix) : caller.name === pattern);
}

function bare(method: string): string {
  return method.startsWith("/") ? method.slice(1) : method;
}

function checkRules(rules: unknown): readonly PolicyRule[] {
  if (!Array.isArray(rules)) throw new TypeError("rules has to be a list");
  return rules.map((rule: unknown, index) => {
    const at = `rules[${index}]`;
    if (!isRecord(rule)) throw new TypeError(`${at} has to be an object with callers`);
    checkFields(at, rule, ["callers", "capabilities", "methods"]);
    const { callers, capabilities, methods } = rule;
    return {
      callers: checkList(`${at}.callers`, callers, callerProblem),
      ...(capabilities !== undefined && { capabilities: checkList(`${at}.capabilities`, capabilities, capabilityProblem) }),
      ...(methods !== undefined && { methods: checkList(`${at}.methods`, methods, methodProblem) }),
    };
  });
}

function checkFields(at: string, value: Record<string, unknown>, known: readonly string[]): void {
  const other = Object.keys(value).find((name) => !known.includes(name));
  if (other !== undefined) throw new TypeError(`${at} has the field "${other}"; there are ${known.join(", ")}`);
}

function checkList(at: string, value: unknown, problemOf: (entry: string) => string | undefined): string[] {
  if (!Array.isArray(value) || value.length === 0) throw new TypeError(`${at} has to be a list with at least one entry`);
  return value.map((entry: unknown, index) => {
    const problem = typeof entry === "string" ? problemOf(entry) : "it has to be text";
    if (typeof entry === "string" && problem === undefined) return entry;
    throw new TypeError(`${at}[${index}] is ${JSON.stringify(entry)}: ${problem}`);
  });
}

function callerProblem(caller: string): string | undefined {
  if (caller === "anonymous") return undefined;
  const hash = caller.indexOf("#");
  if (hash > 0 && hash < caller.length - 1) return undefined;
  if (hash >= 0) return "write issuer#subject, or issuer#* for all of an issuer";
  if (!caller.startsWith("spiffe://"))
    return "write a SPIFFE id, spiffe://domain/path/*, issuer#subject, issuer#* or anonymous";
  try {
    parseSpiffeId(caller.endsWith("/*") ? caller.slice(0, -2) : caller);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function capabilityProblem(capability: string): string | undefined {
  return capability === "" ? "a capability has a name" : undefined;
}

function methodProblem(method: string): string | undefined {
  return /^[A-Za-z_][\w.]*\/(?:\*|[A-Za-z_]\w*)$/.test(method)
    ? undefined
    : "write package.Service/Method, or package.Service/*";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
