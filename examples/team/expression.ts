/** Reads a sentence as an arithmetic expression: "take 15% off €240" is `240 EUR - 15%`. It only rewrites, never refuses. */
export function toExpression(sentence: string): string {
  let text = sentence.trim().replace(courtesies, "").replace(ending, "");
  for (const [pattern, replacement] of words) text = text.replace(pattern, replacement);
  text = text.replace(compound, (quantity) => `(${quantity.replace(/(?:,| and)? (?=\d)/g, " + ")})`);
  for (const [pattern, template] of sentences) {
    const parts = pattern.exec(text);
    if (parts) text = template.replace(/\$(\d)/g, (_, position) => grouped(parts[position] ?? ""));
  }
  return text.replace(/\s+/g, " ").trim();
}

type Rewrite = readonly [pattern: RegExp, replacement: string];

const greeting = "hey|hi|please|can you|could you|tell me|and|then|the";
const command = "calculate|compute|evaluate|solve|work out|convert|what(?: is|'s|s| are)|how much (?:is|are)";
const courtesies = new RegExp(`^(?:(?:${greeting}|${command})[\\s,:]+)+`, "i");
const ending = /(?:\s*(?:please|[?.,=]))+$/i;

const money = [
  ["EUR", "€", "euros?"],
  ["USD", "(?:\\bUS)?\\$", "(?:US )?dollars?"],
  ["GBP", "£", "pounds sterling"],
  ["CHF", "\\bFr\\.", "(?:swiss )?francs?"],
  ["JPY", "¥", "yen"],
].flatMap(([code, sign, name]): Rewrite[] => [
  [new RegExp(`(?<!\\d ?)(?:${sign}|\\b${code}\\b) ?(\\d(?:[\\d.,]*\\d)?)`, "gi"), `$1 ${code}`],
  [new RegExp(`(?<=\\d) ?${sign}`, "gi"), ` ${code}`],
  [new RegExp(`\\b(?:${name}|${code})\\b`, "gi"), `${code}`],
]);

const percentages: readonly Rewrite[] = [
  [/\b(?:percentage|per cent|pct)\b/gi, "percent"],
  [/(\d)\s*percent\b/gi, "$1%"],
  [/%(?: (?:tip|vat|tax|discount|interest|commission) (?:of|on)| of)\b/gi, "% *"],
  [/% (?:tip|vat|tax|discount|interest|commission)\b/gi, "%"],
];

const numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"].map(
  (name, value): Rewrite => [new RegExp(`\\b${name}\\b`, "gi"), String(value)],
);

const operators: readonly Rewrite[] = [
  [/[×·]|\b(?:times|multiplied by)\b|(?<=\d ?)x(?= ?\d)/gi, "*"],
  [/÷|\b(?:divided by|over|per)\b/gi, "/"],
  [/\b(?:plus|(?:increased|raised) by)\b/gi, "+"],
  [/[−–]|\bminus\b|\bless(?= \d)|\b(?:decreased|reduced) by\b/gi, "-"],
  [/ ?\*\* ?| to the power(?: of)? /gi, "^"],
  [/²| squared\b/gi, "^2"],
  [/³| cubed\b/gi, "^3"],
  [/(?:√|\b(?:the )?square root of|\bsqrt(?= ?\d)) ?(\d[\d.]*|\(.*\))/gi, "sqrt($1)"],
  [/\b(?:the )?cube root of (\d[\d.]*|\(.*\))/gi, "cbrt($1)"],
  [/\bfactorial of (\d+)|(\d+) factorial\b/gi, "$1$2!"],
  [/\b(?:double|twice) (?=\d)/gi, "2 * "],
  [/\b(?:a |1 )?half(?: of)? (?=\d)/gi, "1/2 * "],
  [/\b(?:a |1 )?third of (?=\d)/gi, "1/3 * "],
  [/\b(?:a |1 )?quarter of (?=\d)/gi, "1/4 * "],
  [/(\d\/\d+) of /g, "$1 * "],
];

const units: readonly Rewrite[] = [
  [/(\d) ?([CF]) (?:in|to|as|into) ([CF])$/, "$1 °$2 to °$3"],
  [/° ?C\b|\b(?:degrees? )?(?:celsius|centigrade)\b|\bdegrees? C\b/gi, " celsius"],
  [/° ?F\b|\b(?:degrees? )?fahrenheit\b|\bdegrees? F\b/gi, " fahrenheit"],
  [/\bsquare (\w+)/gi, "$1^2"],
  [/\bcubic (\w+)/gi, "$1^3"],
  [/metre(s?)\b/gi, "meter$1"],
  [/\bpounds?\b/gi, "lbs"],
  [/\bmph\b/gi, "mi/h"],
  [/\b(?:kph|kmh)\b/gi, "km/h"],
  [/^(.*)\s(?:into|as|in|to)(?: an?)?\s+(?=[a-z%][\w^/%* ]*$)/i, "$1 to "],
  [/ to %$/, " to percent"],
];

/** Words and signs that mean the same wherever they stand. The order counts: pounds sterling go before pounds. */
const words = [
  [/’/g, "'"],
  ...money,
  [/(\d)[,'](?=\d{3}(?!\d))/g, "$1"],
  ...numbers,
  ...percentages,
  ...operators,
  ...units,
] as const;

const time = "weeks?|days?|hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s";
const part = `\\d+(?:\\.\\d+)? ?(?:${time}|miles?|yards?|feet|foot|ft|inches|inch|in|kg|g|lbs?|ounces?|oz|stone|m|cm)`;
/** "3 hours 20 minutes": one quantity in two units, which mathjs would multiply. */
const compound = new RegExp(`\\b${part}(?:(?:,| and)? ${part}\\b)+`, "g");

/** Shapes of whole sentences. */
const sentences: readonly Rewrite[] = [
  [/^add (.+) (?:to|on) (.+)$/i, "$2 + $1"],
  [/^add (.+) and (.+)$/i, "$1 + $2"],
  [/^(?:take|subtract|deduct) (.+) (?:off|from) (.+)$/i, "$2 - $1"],
  [/^(.+%) off (.+)$/i, "$2 - $1"],
  [/^(.+%) (?:more|higher) than (.+)$/i, "$2 + $1"],
  [/^(.+%) (?:less|lower) than (.+)$/i, "$2 - $1"],
  [/^(?:increase|raise) (.+) by (.+)$/i, "$1 + $2"],
  [/^(?:decrease|reduce|lower|cut) (.+) by (.+)$/i, "$1 - $2"],
  [/^multiply (.+) (?:by|with|and) (.+)$/i, "$1 * $2"],
  [/^(?:divide|split|share) (.+) (?:by|between|among|into) (\S+).*$/i, "$1 / $2"],
  [/^(?:what )?percent of (.+) (?:is|are) (.+)$/i, "$2 / $1 to percent"],
  [/^what percent is (.+) (?:out )?of (.+)$/i, "$1 / $2 to percent"],
  [/^(.+) (?:is what|is|to) percent of (.+)$/i, "$1 / $2 to percent"],
  [/^(.+) out of (.+?)(?: to percent)?$/i, "$1 / $2 to percent"],
  [/^percent (?:change|increase|decrease) from (.+) to (.+)$/i, "($2 - $1) / $1 to percent"],
  [/^((?:sum|average|mean) of .+?),? and (.+)$/i, "$1, $2"],
  [/^(?:average|mean) of (.+)$/i, "mean($1)"],
  [/^sum of (.+)$/i, "sum($1)"],
  [/^round (.+) to (\d+)\b.*$/i, "round($1, $2)"],
  [/^how many (\S+) (?:are |is |make )?(?:there )?(?:in )?(.+)$/i, "$2 to $1"],
];

/** A part that is an expression itself stays one. */
function grouped(part: string): string {
  return /[\w)%] ?[-+*/^] ?[\w(]/.test(part) && !/,|^\([^()]*\)$/.test(part) ? `(${part})` : part;
}
