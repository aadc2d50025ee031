import calculate from "../../examples/team/calculate.ts";
import { ask, citationsOf, textOf } from "../support/ask.ts";

async function answer(question: string): Promise<string> {
  return textOf(await ask(calculate, question));
}

describe("numbers are exact", () => {
  test.each([
    ["0.1 + 0.2", "0.3"],
    ["1/3 + 1/6", "1/2 = 0.5"],
    ["1/3", "1/3 ≈ 0.3333333333"],
    ["22 / 7", "22/7 ≈ 3.142857143"],
    ["100 divided by 8", "12.5"],
    ["2,350.75 * 12", "28209"],
    ["1,000,000 x 3", "3000000"],
    ["2^100", "1267650600228229401496703205376"],
    ["2**-3", "0.125"],
    ["-2^2", "-4"],
    ["20!", "2432902008176640000"],
    ["factorial of 5", "120"],
    ["What is 7 times 8?", "56"],
    ["two plus two", "4"],
    ["Please calculate 12 * (3 + 4)", "84"],
    ["2(3 + 4)", "14"],
    ["subtract 5 + 3 from 20", "12"],
    ["multiply 6 by 7", "42"],
    ["2/3 of 90", "60"],
    ["half of 30", "15"],
    ["one third of 90", "30"],
    ["10 mod 3", "1"],
    ["10 % 3", "1"],
    ["1e5 + 1", "100001"],
    ["average of 3, 5 and 10", "6"],
    ["sum of 1/3, 1/6 and 1/2", "1"],
    ["max(3, 7, 2)", "7"],
    ["round 3.14159 to 2 decimals", "3.14"],
    ["square root of 144", "12"],
    ["square root of 2", "≈ 1.414213562"],
    ["sqrt(2)^2", "2"],
    ["√(4/9)", "2/3 ≈ 0.6666666667"],
    ["8^(1/3)", "2"],
    ["pi * 3²", "≈ 28.27433388"],
    ["12345678901234567890 * 98765432109876543210", "1219326311370217952237463801111263526900"],
  ])("%s → %s", async (question, expected) => {
    expect(await answer(question)).toBe(expected);
  });
});

describe("percentages", () => {
  test.each([
    ["what is 17% of 2,350 EUR?", "399.50 EUR"],
    ["20 percent of 50 plus 10", "20"],
    ["add 19% to 80", "95.2"],
    ["80 + 19% + 1", "96.2"],
    ["200 - 10% - 10%", "162"],
    ["take 15% off 240 EUR", "204.00 EUR"],
    ["20% off $1,300", "1040.00 USD"],
    ["25% more than 80", "100"],
    ["10% less than 80", "72"],
    ["increase 80 by 19%", "95.2"],
    ["80 reduced by 10%", "72"],
    ["what percent of 250 is 40?", "16%"],
    ["40 is what percentage of 250", "16%"],
    ["40 EUR as a percentage of 250 EUR", "16%"],
    ["40 out of 250", "16%"],
    ["percent change from 80 to 100", "25%"],
    ["1/3 as a percentage", "≈ 33.33333333%"],
    ["15% tip on $85", "12.75 USD"],
    [`80${" + 1%".repeat(50)}`, "≈ 131.5705457"],
  ])("%s → %s", async (question, expected) => {
    expect(await answer(question)).toBe(expected);
  });
});

describe("money is rounded to what can be paid, and says so", () => {
  test.each([
    ["£3.50 + £1.25", "4.75 GBP"],
    ["EUR 240 minus 15%", "204.00 EUR"],
    ["240€ - 15 percent", "204.00 EUR"],
    ["5 dollars * 3", "15.00 USD"],
    ["CHF 100 + 7.7%", "107.70 CHF"],
    ["¥1000 / 3", "≈ 333 JPY"],
    ["split 100 EUR between 3 people", "≈ 33.33 EUR"],
    ["0.005 EUR * 3", "≈ 0.02 EUR (exactly 0.015 EUR)"],
    ["3 EUR/kg * 2 kg", "6.00 EUR"],
    ["100 EUR * 1.1 USD/EUR", "110.00 USD"],
    ["1000 EUR * (1 + 5%)^2", "1102.50 EUR"],
  ])("%s → %s", async (question, expected) => {
    expect(await answer(question)).toBe(expected);
  });

  test.each(["100 EUR + 50 USD", "$5 - 3 euros", "100 EUR in USD", "max(1 EUR, 2 USD)"])(
    "%s needs a rate",
    async (question) => {
      expect(await answer(question)).toBe("EUR and USD need an exchange rate; write it in, as in 100 EUR * 1.1 USD/EUR.");
    },
  );
});

describe("units", () => {
  test.each([
    ["5 miles in km", "8.04672 km"],
    ["5 Miles to KM", "8.04672 km"],
    ["how many km is 26.2 miles?", "42.1648128 km"],
    ["convert 72 °F to celsius", "≈ 22.22222222 °C"],
    ["100 C to F", "212 °F"],
    ["-40 degrees fahrenheit in °C", "-40 °C"],
    ["3 hours 20 minutes in minutes", "200 minutes"],
    ["How many minutes are in 3 hours and 20 minutes?", "200 minutes"],
    ["60 minutes in hours", "1 hour"],
    ["5 feet 11 inches in cm", "180.34 cm"],
    ["5 ft 11 in in cm", "180.34 cm"],
    ["100 km / 2 h", "50 km/h"],
    ["90 km/h * 20 min", "30 km"],
    ["60 mph in km/h", "96.56064 km/h"],
    ["5 m * 3 m", "15 m^2"],
    ["1 acre in square metres", "4046.8564224 meters^2"],
    ["5 pounds in kg", "2.26796185 kg"],
    ["1 GiB in MB", "1073.741824 MB"],
    ["3 km / 50 m", "60"],
  ])("%s → %s", async (question, expected) => {
    expect(await answer(question)).toBe(expected);
  });
});

describe("what cannot be answered gets one sentence, at once", () => {
  test.each([
    ["", "cannot read"],
    ["hello", "cannot read"],
    ["what is the meaning of life", "cannot read"],
    ["5 +", "cannot read"],
    ["%", "cannot read"],
    ["2.350,75 * 12", "cannot read"],
    ["3 apples + 4 apples", '"apples"'],
    ["1 / 0", "divided by zero"],
    ["5 EUR / 0", "divided by zero"],
    ["0^-1", "divided by zero"],
    ["5 kg + 3 s", "kg and s together"],
    ["3 kg + 5", "kg and a plain number together"],
    ["250 to km", "give it a unit"],
    ["5 km to 3", "must be a unit"],
    ["floor(3.5 km)", "plain number"],
    ["sqrt(-4)", "roots of plain numbers from 0"],
    ["2^1.7", "whole powers"],
    ["5 mod 0", "divided by zero"],
    ["round(1.5, 0.5)", "does not work with these numbers"],
  ])("%s: %s", async (question, reason) => {
    await expectSentence(question, reason);
  });

  test.each([
    ["9^9^9", "more than 1000 digits"],
    ["9**9**9", "more than 1000 digits"],
    ["10^(10^10)", "more than 1000 digits"],
    ["2^-99999", "more than 1000 digits"],
    ["1e999999999", "more than 1000 digits"],
    ["1e-999999999 + 1", "more than 1000 digits"],
    ["(9^900)^900", "more than 1000 digits"],
    ["9^900 * 9^900", "more than 1000 digits"],
    ["(5 km)^10000000", "more than 1000 digits"],
    ["1e900 km * 1e900", "more than 1000 digits"],
    ["200000!", "factorials of whole numbers from 0 to 400"],
    ["9!!!!!", "factorials"],
    ["1:1000000000", "do not calculate"],
    ["range(1, 1000000000)", '"range"'],
    ["zeros(100000, 100000)", '"zeros"'],
    ["[1, 2, 3] * 2", "do not calculate"],
    ["x = 5", "do not calculate"],
    ["f(x) = x^2; f(3)", "do not calculate"],
    ["1; 2", "do not calculate"],
    ['import({ "pi": 3 })', '"import"'],
    ['evaluate("1 + 1")', '"evaluate"'],
    ['"1" + "1"', "real numbers and units only"],
    ['createUnit("coin1")', '"createUnit"'],
    ['parse("1").constructor', "do not calculate"],
    ["1.constructor", ""],
    ["constructor(1)", '"constructor"'],
    ["__proto__(1)", '"__proto__"'],
    ["toString * 1", '"toString"'],
    ["cos.constructor(1)()", ""],
    ["sin(1e1000)", '"sin"'],
    ["(".repeat(300), "cannot read"],
    [`${"(".repeat(149)}1${")".repeat(149)} = x`, ""],
    ["sqrt ".repeat(60), "cannot read"],
    ["add 1 to ".repeat(33), ""],
    ["1".repeat(1_000_000), "at most 300 characters"],
  ])("%.40s: %s", async (question, reason) => {
    await expectSentence(question, reason);
  });

  async function expectSentence(question: string, reason: string): Promise<void> {
    const events = await ask(calculate, question);
    expect(citationsOf(events)).toEqual([]);
    expect(textOf(events)).toContain(reason);
    expect(textOf(events)).toMatch(/^[A-Z"][^\n]{10,250}\.$/);
  }
});

test("a refused expression leaves nothing behind that changes later answers", async () => {
  for (const hostile of ["sin(1e1000)", "pi = 3", 'createUnit("coin1")', "config({ precision: 1 })"]) await answer(hostile);
  expect(await answer("pi * 1 km")).toBe("≈ 3.141592654 km");
  expect(await answer("5 coin1")).toContain('"coin1"');
});

test("the expression that was evaluated is cited", async () => {
  const [source, ...more] = citationsOf(await ask(calculate, "Take 15% off €1,240, please."));
  expect(more).toEqual([]);
  expect(source).toMatchObject({ title: "Evaluated expression", quote: "1240 EUR - 15%", uri: "math:1240%20EUR%20-%2015%25" });
});

test("its examples work", async () => {
  for (const example of calculate.examples) expect(citationsOf(await ask(calculate, example))).toHaveLength(1);
});
