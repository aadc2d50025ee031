import {
  type DescEnum,
  type DescEnumValue,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  ScalarType,
} from "@bufbuild/protobuf";

/** One thing that a caller uses and an endpoint does not serve as the caller knows it. */
export interface ContractDifference {
  /** The method, field or enum value: `agent.v1.AgentService.GetTask`, `agent.v1.TaskRequest.content`. */
  readonly path: string;
  /** What is different: "is missing", "is int64 and not string". */
  readonly problem: string;
}

/** A difference, and what it is about. */
export interface Finding extends ContractDifference {
  /** What the endpoint does not have and can be left unused: a field, or an enum value that can be sent. Else the methods themselves differ. */
  readonly lacking?: DescField | DescEnumValue;
  readonly direction?: Direction;
}

/** Where an endpoint's services are looked up by their full names; a `FileRegistry` is one. */
export interface ContractLookup {
  getService(typeName: string): DescService | undefined;
}

/**
 * Holds a caller's services against what an endpoint serves. Whatever the caller has must be there with the same kind, type and name, as
 * binary messages and JSON both need it (Buf's rules WIRE_JSON): methods, the fields of what they take and give, and the enum values that
 * can be sent. What the endpoint has beyond that is evolution, and no difference.
 *
 * @param methods only these of the caller's methods, by name. Default: all.
 * @returns the differences, each once; none when they fit.
 */
export function contractDifferences(
  service: DescService,
  endpoint: ContractLookup,
  methods: readonly string[] = service.methods.map(({ name }) => name),
): readonly ContractDifference[] {
  return compareContracts(service, endpoint, methods).map(({ path, problem }) => ({ path, problem }));
}

/** See {@link contractDifferences}. */
export function compareContracts(
  service: DescService,
  endpoint: ContractLookup,
  methods: readonly string[],
): readonly Finding[] {
  const theirs = endpoint.getService(service.typeName);
  if (theirs === undefined) return [{ path: service.typeName, problem: "is missing" }];
  const comparison = new Comparison();
  for (const method of service.methods) {
    if (methods.includes(method.name))
      comparison.method(
        method,
        theirs.methods.find(({ name }) => name === method.name),
      );
  }
  return comparison.findings;
}

/** Messages that travel to the endpoint, and those that come from it. Only in the first must it know every enum value. */
export type Direction = "sent" | "received";

class Comparison {
  readonly #findings = new Map<string, Finding>();
  /** Types that have been compared, which may hold themselves. */
  readonly #seen = new Set<string>();

  get findings(): readonly Finding[] {
    return [...this.#findings.values()];
  }

  method(mine: DescMethod, theirs: DescMethod | undefined): void {
    const path = `${mine.parent.typeName}.${mine.name}`;
    if (theirs === undefined) {
      this.#note(path, "is missing");
      return;
    }
    this.#expect(path, kindNames[theirs.methodKind], kindNames[mine.methodKind]);
    this.#expect(`${path} (request)`, theirs.input.typeName, mine.input.typeName);
    this.#expect(`${path} (response)`, theirs.output.typeName, mine.output.typeName);
    this.#message(mine.input, theirs.input, "sent");
    this.#message(mine.output, theirs.output, "received");
  }

  #message(mine: DescMessage, theirs: DescMessage, direction: Direction): void {
    if (this.#isSeen(mine.typeName, direction) || mine.typeName !== theirs.typeName) return;
    for (const field of mine.fields) {
      const other = theirs.fields.find(({ number }) => number === field.number);
      if (other !== undefined) this.#field(field, other, direction);
      else this.#note(pathOf(field), "is missing", { lacking: field, direction });
    }
  }

  #field(mine: DescField, theirs: DescField, direction: Direction): void {
    const path = pathOf(mine);
    this.#expect(path, `named ${theirs.name}`, `named ${mine.name}`);
    this.#expect(path, `named ${theirs.jsonName} in JSON`, `named ${mine.jsonName} in JSON`);
    this.#expect(path, typeOf(theirs), typeOf(mine));
    this.#expect(path, choiceOf(theirs), choiceOf(mine));
    if (mine.message !== undefined && theirs.message !== undefined) this.#message(mine.message, theirs.message, direction);
    if (mine.enum !== undefined && theirs.enum !== undefined) this.#enum(mine.enum, theirs.enum, direction);
  }

  #enum(mine: DescEnum, theirs: DescEnum, direction: Direction): void {
    if (direction === "received" || this.#isSeen(mine.typeName, direction) || mine.typeName !== theirs.typeName) return;
    for (const value of mine.values) {
      const path = `${mine.typeName}.${value.name}`;
      const other = theirs.values.find(({ number }) => number === value.number);
      if (other === undefined) this.#note(path, "is missing", { lacking: value, direction });
      else this.#expect(path, `named ${other.name}`, `named ${value.name}`);
    }
  }

  #isSeen(typeName: string, direction: Direction): boolean {
    const key = `${direction} ${typeName}`;
    if (this.#seen.has(key)) return true;
    this.#seen.add(key);
    return false;
  }

  #expect(path: string, actual: string, expected: string): void {
    if (actual !== expected) this.#note(path, `is ${actual} and not ${expected}`);
  }

  #note(path: string, problem: string, about: Omit<Finding, keyof ContractDifference> = {}): void {
    const key = `${path} ${problem}`;
    // what travels both ways is told of once: as what is sent
    if (about.direction !== "received" || !this.#findings.has(key)) this.#findings.set(key, { path, problem, ...about });
  }
}

const kindNames: Readonly<Record<DescMethod["methodKind"], string>> = {
  unary: "unary",
  server_streaming: "server streaming",
  client_streaming: "client streaming",
  bidi_streaming: "bidirectional streaming",
};

function pathOf({ parent, name }: DescField): string {
  return `${parent.typeName}.${name}`;
}

function typeOf(field: DescField): string {
  if (field.fieldKind === "list") return `repeated ${elementOf(field)}`;
  if (field.fieldKind === "map") return `map<${ScalarType[field.mapKey].toLowerCase()}, ${elementOf(field)}>`;
  return elementOf(field);
}

function elementOf({ scalar, message, enum: enumeration }: DescField): string {
  if (scalar !== undefined) return ScalarType[scalar].toLowerCase();
  return message?.typeName ?? enumeration?.typeName ?? "nothing";
}

/** The oneof that a field is a choice of. That it can be told from its default (`optional`) changes nothing on the wire. */
function choiceOf({ oneof }: DescField): string {
  return oneof === undefined ? "in no oneof" : `in oneof ${oneof.name}`;
}
