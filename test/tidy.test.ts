import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { parseSync } from "@swc/core";

const root = join(import.meta.dirname, "..");

/** Lowest first; a folder imports the faces of lower ones only. */
const layers = [
  "contract",
  "core",
  "wire",
  "store",
  "telemetry",
  "identity",
  "guardrail",
  "memory",
  "registry",
  "agent",
  "mcp",
  "task",
  "bridge",
  "web",
  "client",
  "server",
  "dashboard",
  "cli",
];
const maxFileLines = 300;
const maxFunctionLines = 70;
const maxParameters = 3;

interface Source {
  /** Relative to the repository, such as `src/core/limits.ts`. */
  readonly file: string;
  readonly text: string;
  /** Files of the repository that it imports, types too. */
  readonly imports: readonly string[];
  readonly starExports: number;
  /** Lines of `as` casts; `as const` and renamings are none. */
  readonly casts: readonly number[];
  readonly functions: readonly { line: number; lines: number; parameters: number }[];
}

/** A node of the syntax tree: only what is looked at here. */
interface Node {
  readonly type?: string;
  readonly span?: { readonly start: number; readonly end: number };
  readonly source?: { readonly value: string } | null;
  readonly [property: string]: unknown;
}

const sources = ["src", "examples", "bench"].flatMap(filesBelow).map(read);
const product = sources.filter(({ file }) => file.startsWith("src/"));

function filesBelow(folder: string): string[] {
  try {
    return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => /\.tsx?$/.test(name) && !name.endsWith(".d.ts"))
      .map((name) => join(folder, name));
  } catch {
    return []; // the folder is not there yet
  }
}

function read(file: string): Source {
  const text = readFileSync(join(root, file), "utf8");
  const module: Node = { ...parseSync(text, { syntax: "typescript" }) };
  const bytes = Buffer.from(text);
  // swc counts bytes from the first file it read on; a module's span begins at its first token.
  const offset = (module.span?.start ?? 0) - firstToken(text, bytes);
  const lineOf = (position: number) =>
    bytes
      .subarray(0, position - offset)
      .toString()
      .split("\n").length;
  const imports: string[] = [];
  const functions: { line: number; lines: number; parameters: number }[] = [];
  const casts: number[] = [];
  let starExports = 0;
  visit(module, (node) => {
    if (node.type === "ExportAllDeclaration") starExports++;
    if (node.type === "TsAsExpression" && node.span !== undefined) casts.push(lineOf(node.span.end));
    const target = node.type === "Import" ? undefined : importedBy(node);
    if (target?.startsWith(".")) imports.push(normalize(join(dirname(file), target)));
    const parameters = parametersOf(node);
    if (parameters === undefined || node.span === undefined) return;
    const line = lineOf(node.span.start);
    functions.push({ line, lines: lineOf(node.span.end) - line + 1, parameters });
  });
  return { file, text, imports, starExports, casts, functions };
}

function firstToken(text: string, bytes: Buffer): number {
  const blank = /^(?:#![^\n]*\n|\s|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0] ?? "";
  // swc counts the "#!" line as part of the module
  return text.startsWith("#!") ? 0 : Math.min(Buffer.byteLength(blank), bytes.length);
}

function importedBy(node: Node): string | undefined {
  if (/^(Import|ExportNamed|ExportAll)Declaration$/.test(node.type ?? "")) return node.source?.value;
  const call = node as { callee?: Node; arguments?: { expression?: { value?: unknown } }[] }; // a call expression, as tested next
  if (node.type !== "CallExpression" || call.callee?.type !== "Import") return undefined;
  const value = call.arguments?.[0]?.expression?.value;
  return typeof value === "string" ? value : undefined;
}

function parametersOf(node: Node): number | undefined {
  const holder = (node.type === "ClassMethod" || node.type === "PrivateMethod" ? node["function"] : node) as Node; // its function
  const isFunction =
    /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression|ClassMethod|PrivateMethod|MethodProperty|Constructor)$/;
  if (!isFunction.test(node.type ?? "")) return undefined;
  const parameters = holder["params"];
  return Array.isArray(parameters) ? parameters.length : 0;
}

function visit(value: unknown, found: (node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const each of value) visit(each, found);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const node = value as Node; // an object of the tree
  if (node.type !== undefined) found(node);
  for (const [key, child] of Object.entries(node)) if (key !== "span") visit(child, found);
}

function folderOf(file: string): string | undefined {
  return /^src\/([^/]+)\//.exec(file)?.[1];
}

test("the tree is read: imports, functions, casts and lines are seen", () => {
  const serve = product.find(({ file }) => file === "src/server/serve.ts");
  expect(serve?.imports).toContain("src/task/index.ts");
  const lines = serve?.text.split("\n") ?? [];
  const line = lines.findIndex((each) => each.startsWith("export async function serve(")) + 1;
  expect(serve?.functions.map((each) => each.line)).toContain(line);
  expect(serve?.casts).toHaveLength(0);
  expect(product.some(({ casts }) => casts.length > 0)).toBe(true);
});

test("every folder of src is a layer", () => {
  const folders = new Set(product.map(({ file }) => folderOf(file)).filter((folder) => folder !== undefined));
  expect([...folders].filter((folder) => !layers.includes(folder))).toEqual([]);
});

test("imports go down the layers, by the face", () => {
  const wrong = product.flatMap(({ file, imports }) =>
    imports.flatMap((target) => {
      const [from, to] = [folderOf(file), folderOf(target)];
      if (to === undefined || from === to || target.startsWith("gen/")) return [];
      const down = from === undefined || layers.indexOf(to) < layers.indexOf(from);
      return down && target === `src/${to}/index.ts` ? [] : [`${file} → ${target}`];
    }),
  );
  expect(wrong).toEqual([]);
});

test("protocols know nothing of Node's HTTP: only the wire's own face and its transport name what is below the waist", () => {
  const wrong = product.flatMap(({ file, imports, text }) => {
    if (!file.startsWith("src/wire/") || file.startsWith("src/wire/node/")) return [];
    const modules = /from "node:(?:http2?|https|tls|stream)"/.test(text) ? [`${file} → Node's HTTP`] : [];
    if (file === "src/wire/index.ts" || file === "src/wire/client/transport.ts") return modules;
    return [
      ...modules,
      ...imports.filter((target) => target.startsWith("src/wire/node/")).map((target) => `${file} → ${target}`),
    ];
  });
  expect(wrong).toEqual([]);
});

test("no folder imports its own face, and no two files import each other, directly or around", () => {
  const own = product.flatMap(({ file, imports }) =>
    imports.filter((target) => target === join(dirname(file), "index.ts") && folderOf(file) !== undefined).map(() => file),
  );
  expect(own).toEqual([]);
  expect(findCycle(new Map(sources.map(({ file, imports }) => [file, imports])))).toBeUndefined();
});

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const search = (file: string): string | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file].join(" → ");
    if (done.has(file)) return undefined;
    path.push(file);
    for (const target of graph.get(file) ?? []) {
      const cycle = search(target);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = search(file);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

test("a cycle would be found", () => {
  const graph = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["b"]],
  ]);
  expect(findCycle(graph)).toBe("b → c → b");
});

test("faces name what they export", () => {
  expect(sources.filter(({ starExports }) => starExports > 0).map(({ file }) => file)).toEqual([]);
});

test(`files have at most ${maxFileLines} lines`, () => {
  expect(sources.filter(({ text }) => text.split("\n").length - 1 > maxFileLines).map(({ file }) => file)).toEqual([]);
});

test(`functions have at most ${maxFunctionLines} lines and ${maxParameters} parameters`, () => {
  const wrong = sources.flatMap(({ file, functions }) =>
    functions
      .filter(({ lines, parameters }) => lines > maxFunctionLines || parameters > maxParameters)
      .map(({ line, lines, parameters }) => `${file}:${line} (${lines} lines, ${parameters} parameters)`),
  );
  expect(wrong).toEqual([]);
});

test("every cast and lint exception carries its reason on its line", () => {
  const wrong = sources.flatMap(({ file, text, casts }) => {
    const lines = text.split("\n");
    const isException = (line: string) => /biome-ignore(?! \S+: \w)|@ts-|<any>|: any\b/.test(line); // what it looks for, and itself none
    const exceptions = lines.flatMap((line, index) => (isException(line) ? [index + 1] : []));
    const bare = casts.filter((line) => !/\/\/ \w/.test(lines[line - 1] ?? ""));
    return [...bare, ...exceptions].map((line) => `${file}:${line}`);
  });
  expect(wrong).toEqual([]);
});
