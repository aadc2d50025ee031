import { createHash } from "node:crypto";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { valid as validVersion } from "semver";
import type { AgentCard, Endpoint, RegisterRequest, Registration } from "../contract/index.ts";
import { type FieldViolation, invalidArgument, permissionDenied, registryBounds } from "../core/index.ts";
import type { AddressPolicy } from "./address.ts";

export interface RegisterRules {
  readonly addresses: AddressPolicy;
  /** All addresses of a host name. Default: as this machine resolves it. @throws whatever when there are none. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

const namePattern = /^[A-Za-z0-9_.-]{1,64}$/;
const nameRule = "must be 1 to 64 of A-Z a-z 0-9 _ . -";

/** A SPIFFE ID: lower-case trust domain, then segments without `.` and `..` (SPIFFE-ID, section 2). */
const identityPattern = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/;
const hashPattern = /^[0-9a-f]{64}$/;

/**
 * Checks what a registrant publishes.
 *
 * @param caller the registrant's verified identity; undefined when it has proved none.
 * @returns the registration, with the caller's own identity where it names none.
 * @throws ConnectError INVALID_ARGUMENT that names each wrong field; PERMISSION_DENIED (reason IDENTITY_MISMATCH) for an identity
 *   that is not the caller's own.
 */
export async function checkRegistration(
  { registration }: RegisterRequest,
  caller: string | undefined,
  rules: RegisterRules,
): Promise<Registration> {
  if (registration?.agent === undefined) {
    throw invalidArgument([
      { field: registration === undefined ? "registration" : "registration.agent", description: "is required" },
    ]);
  }
  const { agent, endpoints, identity, contractSha256 } = registration;
  const violations = [...cardViolations(agent), ...(await endpointViolations(endpoints, rules))];
  const check = (holds: boolean, field: string, description: string) => {
    if (!holds) violations.push({ field: `registration.${field}`, description });
  };
  check(isIdentity(identity), "identity", "must be a SPIFFE ID, such as spiffe://example.org/scheduler, or empty");
  check(
    contractSha256 === "" || hashPattern.test(contractSha256),
    "contract_sha256",
    "must be 64 lower-case hexadecimal digits",
  );
  if (violations.length > 0) throw invalidArgument(violations);
  if (caller === undefined || identity === caller) return registration;
  if (identity === "") return { ...registration, identity: caller };
  throw permissionDenied(`"${caller}" may not register the identity "${identity}", only its own`, "IDENTITY_MISMATCH");
}

/** The place that a registration holds: the same for the same agent at the same endpoints, in whatever order. */
export function placeOf({ agent, endpoints }: Registration): string {
  const urls = endpoints.map(({ url }) => new URL(url).origin).sort();
  return `${agent?.name}~${createHash("sha256").update(urls.join("\n")).digest("base64url").slice(0, 22)}`;
}

function isIdentity(identity: string): boolean {
  return identity === "" || (identity.length <= registryBounds.maxIdentityChars && identityPattern.test(identity));
}

function cardViolations({ name, description, capabilities, version }: AgentCard): FieldViolation[] {
  const { maxCapabilities, maxDescriptionChars, maxVersionChars } = registryBounds;
  const violations: FieldViolation[] = [];
  const check = (holds: boolean, field: string, description: string) => {
    if (!holds) violations.push({ field: `registration.agent.${field}`, description });
  };
  check(namePattern.test(name), "name", nameRule);
  const isSentence = description.length <= maxDescriptionChars && !/\p{Cc}/u.test(description); // terminals obey control characters
  check(isSentence, "description", `must have at most ${maxDescriptionChars} characters, none of them control characters`);
  check(capabilities.length <= maxCapabilities, "capabilities", `must be at most ${maxCapabilities}`);
  const wrong = capabilities.findIndex((capability) => !namePattern.test(capability));
  check(wrong < 0, `capabilities[${wrong}]`, nameRule);
  const versionHolds = version === "" || (version.length <= maxVersionChars && validVersion(version) === version);
  check(versionHolds, "version", "must be a version of Semantic Versioning 2.0.0, such as 1.4.0, or empty");
  return violations;
}

async function endpointViolations(endpoints: readonly Endpoint[], rules: RegisterRules): Promise<FieldViolation[]> {
  const { maxEndpoints, maxWeight } = registryBounds;
  if (endpoints.length === 0 || endpoints.length > maxEndpoints) {
    return [{ field: "registration.endpoints", description: `must be 1 to ${maxEndpoints}` }];
  }
  const each = endpoints.map(async ({ url, zone, weight }, index) => {
    const violations: FieldViolation[] = [];
    const check = (description: string | undefined, field: string) => {
      if (description !== undefined) violations.push({ field: `registration.endpoints[${index}].${field}`, description });
    };
    check(await urlProblem(url, rules), "url");
    check(zone === "" || namePattern.test(zone) ? undefined : `${nameRule}, or empty`, "zone");
    check(weight <= maxWeight ? undefined : `must be at most ${maxWeight}`, "weight");
    return violations;
  });
  return (await Promise.all(each)).flat();
}

/** A host name is held against the rules by what it resolves to, so that a name cannot stand for what an address may not. */
async function urlProblem(text: string, { addresses, resolve = resolveHost }: RegisterRules): Promise<string | undefined> {
  const url = text.length <= registryBounds.maxUrlChars && URL.canParse(text) ? new URL(text) : undefined;
  const rule = `must be http://host:port or https://host:port, at most ${registryBounds.maxUrlChars} characters`;
  // What URL writes as an IPv4 address is one, however it was written (0xa9fea9fe); the origin is all that an endpoint has.
  if (url === undefined || !/^https?:$/.test(url.protocol) || `${url.origin}/` !== url.href) return rule;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  try {
    for (const address of isIP(host) === 0 ? await resolve(host) : [host]) {
      const refusal = addresses.refusal(address);
      if (refusal !== undefined) return address === host ? refusal : `leads to ${address}, which ${refusal}`;
    }
  } catch {
    return `has a host name, "${host}", that cannot be resolved here`;
  }
  return undefined;
}

async function resolveHost(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}
