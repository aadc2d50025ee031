import type { DescEnum, DescField, DescMethod, Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type ContractDifference, type ContractLookup, compareContracts, type Finding } from "./compatible.ts";

/** How an endpoint fits the calls of one method. */
export interface MethodFit {
  /** No call of the method can be at odds with the endpoint. */
  readonly whole: boolean;
  /**
   * What a call uses that the endpoint lacks or types otherwise; undefined when it fits.
   *
   * @param message what is asked, where it is one message. Of a stream of messages the types alone are compared.
   */
  problemOf(message: Message | undefined): ContractDifference | undefined;
}

/**
 * Holds one method of a caller against an endpoint's contract. What either side has added is no matter to a call that does not use it: a
 * field that the endpoint lacks is a problem only where it is set, and never in what the endpoint answers.
 */
export function fitOf(method: DescMethod, endpoint: ContractLookup): MethodFit {
  const findings = compareContracts(method.parent, endpoint, [method.name]);
  const broken = findings.find(({ lacking }) => lacking === undefined);
  if (broken !== undefined) return { whole: false, problemOf: () => broken };
  const lacking: Lacking = new Map();
  for (const finding of findings) {
    if (finding.lacking !== undefined && finding.direction === "sent") lacking.set(finding.lacking, finding);
  }
  const used = (message: Message | undefined) => message && firstUsed(reflect(method.input, message), lacking);
  return { whole: lacking.size === 0, problemOf: lacking.size === 0 ? () => undefined : used };
}

/** What the endpoint does not have, by its descriptor. */
type Lacking = Map<NonNullable<Finding["lacking"]>, Finding>;

function firstUsed(message: ReflectMessage, lacking: Lacking): ContractDifference | undefined {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const found = lacking.get(field) ?? firstUsedIn(message, field, lacking);
    if (found !== undefined) return found;
  }
  return undefined;
}

function firstUsedIn(message: ReflectMessage, field: DescField, lacking: Lacking): ContractDifference | undefined {
  const inside = (value: unknown) => {
    if (field.message !== undefined) return firstUsed(value as ReflectMessage, lacking); // what `get` gives for messages
    return field.enum === undefined ? undefined : lackingValue(field.enum, value, lacking);
  };
  if (field.message === undefined && field.enum === undefined) return undefined;
  switch (field.fieldKind) {
    case "list":
      return first(message.get(field), inside);
    case "map":
      return first(message.get(field).values(), inside);
    default:
      return inside(message.get(field));
  }
}

function lackingValue(of: DescEnum, number: unknown, lacking: Lacking): ContractDifference | undefined {
  const value = of.values.find((each) => each.number === number);
  return value && lacking.get(value);
}

function first<T>(values: Iterable<T>, find: (value: T) => ContractDifference | undefined): ContractDifference | undefined {
  for (const value of values) {
    const found = find(value);
    if (found !== undefined) return found;
  }
  return undefined;
}
