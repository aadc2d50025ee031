import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { batched, h2load, requests } from "./h2load.ts";

const usage = `node bench/profile.ts [grpc|connectBinary|connectJson] [SERVER]

Loads a server of bench/servers with unary calls under V8's profiler, and says where its processor time goes.
`;

/** What of V8's profile is read. */
interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { functionName: string; url: string } }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Where a function belongs; the first that matches counts. */
const parts: readonly (readonly [name: string, matches: (functionName: string, url: string) => boolean])[] = [
  ["(waiting)", (functionName) => functionName === "(idle)"],
  ["garbage collection", (functionName) => functionName === "(garbage collector)"],
  ["Convoke's writer of messages", (_, url) => url.includes("/dist/wire/protobuf/")],
  ["Convoke's HTTP/2", (_, url) => url.includes("/dist/wire/http2/")],
  ["Convoke above it", (_, url) => /\/dist\/(?!esm)/.test(url) && !url.includes("node_modules")],
  ["protobuf-es", (_, url) => url.includes("@bufbuild/protobuf") || url.includes("internal/encoding")],
  ["node:http2", (_, url) => url.startsWith("node:internal/http2")], // of the servers on it
  ["Node's streams", (_, url) => /^node:internal\/(?:streams|stream_base)/.test(url)],
  ["Node's events, ticks and the rest", (_, url) => url.startsWith("node:")],
  ["native code and the kernel", (_, url) => url === ""],
  ["the benchmark's handler", () => true],
];

const loadMs = 5_000;

async function main([kind = "grpc", server = "convoke"]: readonly string[]): Promise<void> {
  const request = kind === "grpc" || kind === "connectBinary" || kind === "connectJson" ? requests[kind] : undefined;
  if (request === undefined) throw new TypeError(`there is no kind "${kind}"\n${usage}`);
  const folder = mkdtempSync(join(tmpdir(), "convoke-profile-"));
  const file = join(import.meta.dirname, "servers", `${server}.ts`);
  const child = spawn(process.execPath, ["--cpu-prof", "--cpu-prof-dir", folder, file], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const { port }: { port: number } = JSON.parse(line);
  const { callsPerSecond } = await h2load(`http://127.0.0.1:${port}`, { ...request, ...batched }, loadMs);
  child.stdin.end(); // which it takes for the end
  await once(child, "exit");
  const [name = ""] = readdirSync(folder);
  const profile: Profile = JSON.parse(readFileSync(join(folder, name), "utf8"));
  rmSync(folder, { recursive: true });
  process.stdout.write(`${server}, ${kind}: ${Math.round(callsPerSecond)} calls/s while profiled\n${formatShares(profile)}`);
}

function formatShares({ nodes, samples, timeDeltas }: Profile): string {
  const names = new Map(nodes.map(({ id, callFrame: { functionName, url } }) => [id, partOf(functionName, url)]));
  const timeOf = new Map<string, number>();
  samples.forEach((id, index) => {
    const name = names.get(id) ?? "";
    timeOf.set(name, (timeOf.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  });
  timeOf.delete("(waiting)");
  const total = [...timeOf.values()].reduce((sum, time) => sum + time, 0);
  const rows = [...timeOf].sort(([, one], [, other]) => other - one);
  return rows.map(([name, time]) => `${((time / total) * 100).toFixed(1).padStart(6)} %  ${name}\n`).join("");
}

function partOf(functionName: string, url: string): string {
  return parts.find(([, matches]) => matches(functionName, url))?.[0] ?? "";
}

await main(process.argv.slice(2));
