import { citation, defineAgent } from "convoke";
import { all, type BigNumber, create, type Fraction, type MathNode, type Unit } from "mathjs";
import { toExpression } from "./expression.ts";

/** Answers arithmetic in plain sentences: exact fractions for numbers, 64 digits for quantities with a unit. */
export default defineAgent({
  name: "calculate",
  capabilities: ["calculate"],
  description: "Exact arithmetic with percentages, money and units.",
  examples: ["What is 17% of 2,350 EUR?", "Convert 72 °F to celsius", "1/3 + 1/6"],
  async *run(task) {
    try {
      if (task.content.length > limits.maxChars) throw new Unanswerable(`Please ask in at most ${limits.maxChars} characters.`);
      const expression = toExpression(task.content);
      yield format(evaluate(parse(expression)), expression);
      yield citation({ uri: `math:${encodeURIComponent(expression)}`, title: "Evaluated expression", quote: expression });
    } catch (error) {
      if (!(error instanceof Unanswerable)) throw error;
      yield error.message;
    }
  },
});

/** Keeps a stranger's expression from blocking the process: the work of every step is bounded by these. */
const limits = { maxChars: 300, maxDigits: 1_000, maxFactorial: 400, maxUnitPower: 9, maxDecimals: 40 };

/** Its message tells the asker what was wrong and what would be right. */
class Unanswerable extends Error {}

/** A plain number is a fraction; a quantity is a unit, which counts in 64-digit decimals. */
type Value = Fraction | Unit;

const math = create(all ?? {}, { number: "BigNumber", precision: 64 });
const currencies = ["EUR", "USD", "GBP", "CHF", "JPY"];
for (const opaque of [...currencies, "percent"]) math.createUnit(opaque);
math.createUnit("acre", { definition: "4840 yd^2", aliases: ["acres"] }, { override: true }); // mathjs rounds it

const { add, subtract, multiply, divide, unaryMinus, unaryPlus, abs, floor, ceil, min, max, mean, sum, gcd, lcm } = math;
const percent = (value: Fraction) => value.div(100);
const mod = (value: Fraction, by: Fraction) => value.sub(value.div(by).floor().mul(by)); // mathjs lets 5 mod 0 be 5
const arithmetic = { add, subtract, multiply, divide, mod, unaryMinus, unaryPlus, pow, factorial, to };
const functions = { sqrt: root(math.sqrt), cbrt: root(math.cbrt), abs, round, floor, ceil, min, max, mean, sum, gcd, lcm };

/** Operators and functions by mathjs' names: all that ever runs. */
const operations = new Map<string, Operation>(Object.entries({ ...arithmetic, ...functions, percent }));

function parse(expression: string): MathNode {
  // mathjs reads the % of "80 + 19% + 1" as a remainder; a function is unmistakable.
  const source = expression.replace(/(\d)\s*%(?=\s*[\d(])/g, "$1 mod ").replace(/(\d[\d.]*)\s*%/g, "percent($1)");
  try {
    if (/\d|\bpi\b/.test(source) && !source.includes("%")) return math.parse(source);
  } catch {
    // Not an expression, as the sentence below says.
  }
  throw new Unanswerable(`I cannot read ${quoted(expression)} as a calculation; write it like "17% of 2350.50 EUR".`);
}

/** Walks the tree itself: what has no line here (assignments, properties, strings, matrices, …) cannot run. */
function evaluate(node: MathNode): Value {
  if (math.isParenthesisNode(node)) return evaluate(node.content);
  if (math.isConstantNode(node)) return bounded(node.value);
  if (math.isSymbolNode(node)) return named(node.name);
  if (math.isOperatorNode(node)) return apply(node.fn, node.args);
  if (math.isFunctionNode(node)) return apply(node.fn.toString(), node.args);
  throw new Unanswerable(`I do not calculate ${quoted(node.toString())}; use numbers, units and + - * / ^ ! %.`);
}

type Operation = (...values: never[]) => unknown;

function apply(name: string, nodes: readonly MathNode[]): Value {
  const operation = operations.get(name);
  if (!operation)
    throw new Unanswerable(`I do not know ${quoted(name)}; the functions are ${Object.keys(functions).join(", ")}.`);
  const values = nodes.map(evaluate);
  // "80 + 19%" adds 19% of the 80. With values: with nodes, n such steps would evaluate the innermost 2^n times.
  if ((name === "add" || name === "subtract") && isPercent(nodes[1])) values[1] = compute(multiply, values);
  return compute(operation, values);
}

function compute(operation: Operation, values: readonly Value[]): Value {
  const quantities = values.some(math.isUnit);
  const operands = quantities ? values.map((value) => (math.isFraction(value) ? decimal(value) : value)) : values;
  try {
    return bounded(operation(...(operands as never[]))); // mathjs checks the types of its arguments when it runs
  } catch (cause) {
    if (cause instanceof Unanswerable) throw cause;
    throw new Unanswerable(whyNot(cause, values), { cause });
  }
}

function named(name: string): Value {
  if (name === "pi") return bounded(math.bignumber(math.pi));
  const unit = [name, name.toLowerCase()].find((known) => math.Unit.isValuelessUnit(known));
  if (!unit) throw new Unanswerable(`I do not know ${quoted(name)}; it is no unit, such as km, kg, hours or EUR.`);
  return math.unit(math.bignumber(1), unit);
}

function to(value: Unit | BigNumber, target: Value): Unit {
  if (!math.isUnit(target)) throw new Unanswerable('The end of a conversion must be a unit, as in "5 miles in km".');
  const unit = target.formatUnits();
  if (math.isUnit(value)) return value.to(unit);
  if (unit === "percent") return math.unit(value.times(100), unit);
  throw new Unanswerable(`A plain number cannot be converted to ${unit}; give it a unit first.`);
}

function pow(base: Value, exponent: Fraction | BigNumber): unknown {
  const power = Number(exponent);
  if (math.isFraction(exponent) && exponent.d === 2n) return pow(functions.sqrt(base), exponent.mul(2));
  if (math.isFraction(exponent) && exponent.d === 3n) return pow(functions.cbrt(base), exponent.mul(3));
  if (!Number.isInteger(power))
    throw new Unanswerable("I raise to whole powers, halves and thirds only, as in 2^10 or 2^(1/2).");
  const size = math.isUnit(base) ? limits.maxDigits / limits.maxUnitPower : digits(base);
  if (Math.abs(power) * size > limits.maxDigits) throw new Unanswerable(tooLarge);
  return math.isUnit(base) ? math.pow(base, power) : base.pow(power);
}

function root(method: (value: BigNumber) => unknown) {
  return (value: Value): Fraction => {
    if (!math.isFraction(value) || value.s < 0n)
      throw new Unanswerable("I take roots of plain numbers from 0 up, as in sqrt(2).");
    const [top, bottom] = [value.n, value.d].map((part) => bounded(method(math.bignumber(part))));
    return (top as Fraction).div(bottom as Fraction); // bounded makes a fraction of a BigNumber
  };
}

function factorial(value: Value): Fraction {
  if (!math.isFraction(value) || value.d !== 1n || value.s < 0n || value.n > limits.maxFactorial) {
    throw new Unanswerable(`I take factorials of whole numbers from 0 to ${limits.maxFactorial}, as in 5!.`);
  }
  let product = 1n;
  for (let factor = 2n; factor <= value.n; factor++) product *= factor;
  return math.fraction(product, 1n);
}

function round(value: Fraction, places?: Fraction): Fraction {
  return value.round(Math.min(Number(places ?? 0), limits.maxDecimals));
}

function bounded(result: unknown): Value {
  const size = math.isUnit(result) ? amountOf(result) : result;
  if (math.isBigNumber(size) && !size.isFinite()) throw new Unanswerable(divisionByZero);
  if (math.isBigNumber(size) && Math.abs(size.e) > limits.maxDigits) throw new Unanswerable(tooLarge);
  if (math.isFraction(size) && digits(size) > limits.maxDigits) throw new Unanswerable(tooLarge);
  if (math.isBigNumber(result)) return math.fraction(result.toFixed());
  if (math.isFraction(result) || math.isUnit(result)) return result;
  throw new Unanswerable("I calculate with real numbers and units only.");
}

function whyNot(cause: unknown, values: readonly Value[]): string {
  if (cause instanceof Error && cause.message === "Division by Zero") return divisionByZero;
  const kinds = values.map((value) => (math.isUnit(value) ? value.formatUnits() : "a plain number"));
  const [one, other] = currencies.filter((currency) => kinds.includes(currency));
  if (one && other) return `${one} and ${other} need an exchange rate; write it in, as in 100 ${one} * 1.1 ${other}/${one}.`;
  if (!values.some(math.isUnit)) return "That does not work with these numbers, as 5 mod 3 or round(1.25, 1) would.";
  if (kinds.length === 1) return "That takes a plain number, without a unit.";
  return `I cannot put ${kinds.join(" and ")} together; both sides need the same kind of unit.`;
}

const tooLarge = `That needs numbers of more than ${limits.maxDigits} digits, which I do not calculate.`;
const divisionByZero = "Nothing can be divided by zero.";

function format(value: Value, expression: string): string {
  if (math.isUnit(value)) return formatQuantity(value);
  if (value.d === 1n) return String(value.s * value.n);
  const text = formatDecimal(decimal(value));
  if (value.d > 1_000_000n || !(text.startsWith("≈") || /\d\/\d/.test(expression))) return text;
  return `${value.toFraction()} ${text.startsWith("≈") ? text : `= ${text}`}`;
}

function formatQuantity(value: Unit): string {
  const names = value.formatUnits().match(/[a-z]\w*/gi) ?? [];
  // "EUR kg / kg" is EUR, "km / h min" is km.
  const unit = names.find((name) => names.length > 1 && math.unit(name).equalBase(value)) ?? value.formatUnits();
  const amount = decimal(value.toNumeric(unit));
  if (currencies.includes(unit)) return formatMoney(amount, unit);
  const text = formatDecimal(amount);
  if (unit === "percent") return `${text}%`;
  if (text === "1" && /..s$/.test(unit) && math.Unit.isValuelessUnit(unit.slice(0, -1))) return `1 ${unit.slice(0, -1)}`;
  return `${text} ${symbols[unit] ?? unit.replaceAll(" / ", "/").replace(/\b(\w+) \1\b/, "$1^2")}`.trimEnd();
}

function formatMoney(amount: BigNumber, currency: string): string {
  const places = currency === "JPY" ? 0 : 2;
  const exact = formatDecimal(amount);
  const rounded = `${amount.toFixed(places)} ${currency}`;
  if (amount.toDecimalPlaces(places).equals(exact.replace("≈ ", ""))) return rounded;
  return exact.startsWith("≈") ? `≈ ${rounded}` : `≈ ${rounded} (exactly ${exact} ${currency})`;
}

/** Of 64 digits the last are worn by rounding: 40 count, up to 30 are shown, and more is an approximation of 10. */
function formatDecimal(value: BigNumber): string {
  const sound = value.toSignificantDigits(40);
  const shown = sound.precision() <= 30 ? sound : sound.toSignificantDigits(10);
  return `${shown === sound ? "" : "≈ "}${Math.abs(shown.e) <= limits.maxDecimals ? shown.toFixed() : shown.toString()}`;
}

const symbols: Record<string, string | undefined> = { celsius: "°C", degC: "°C", fahrenheit: "°F", degF: "°F" };
const digits = (value: Fraction) => Math.max(String(value.n).length, String(value.d).length);
const decimal = (value: Fraction | BigNumber | number): BigNumber => math.bignumber(value);
const amountOf = (value: Unit) => decimal(value.toNumeric(value.formatUnits()));
const quoted = (text: string) => `"${text.slice(0, 60).replace(/\s+/g, " ")}${text.length > 60 ? "…" : ""}"`;
const isPercent = (node: MathNode | undefined) => math.isFunctionNode(node) && node.fn.toString() === "percent";
