import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Contract, DiscoverResponse, Load, RegisteredAgent, WatchResponse } from "../contract/index.ts";
import { readContract } from "../registry/index.ts";
import { createTable } from "./print.ts";
import { protoText } from "./proto-text.ts";

const columns = ["NAME", "VERSION", "CAPABILITIES", "ENDPOINTS", "ZONE", "LOAD", "AGE"];

/** Agents as a table for people. @param nowMs milliseconds since the epoch. */
export function agentTable(agents: readonly RegisteredAgent[], nowMs: number): string {
  if (agents.length === 0) return "no agents are registered\n";
  return createTable(columns).lines(agents.map((agent) => rowOf(agent, nowMs)));
}

function rowOf({ registration, load, registerTime }: RegisteredAgent, nowMs: number): string[] {
  const { name = "", version = "", capabilities = [] } = registration?.agent ?? {};
  const endpoints = registration?.endpoints ?? [];
  const zones = [...new Set(endpoints.map(({ zone }) => zone).filter((zone) => zone !== ""))];
  const age = registerTime === undefined ? "" : ageText(nowMs - timestampMs(registerTime));
  return [
    name,
    version,
    capabilities.join(","),
    endpoints.map(({ url }) => url).join(","),
    zones.join(","),
    loadText(load),
    age,
  ];
}

/** All that is known of an agent, and the files of its contract. */
export function agentDetails({ agents, contracts }: DiscoverResponse, nowMs: number): string {
  const card = agents[0]?.registration?.agent;
  const head = [
    `${card?.name ?? ""}${card?.description ? `: ${card.description}` : ""}`,
    `can: ${card?.capabilities.join(", ") || "-"}`,
  ];
  const instances = agents.map((agent) => {
    const { registration, load, registerTime } = agent;
    const { identity = "", contractSha256 = "" } = registration ?? {};
    const lines = [
      `  version   ${registration?.agent?.version || "-"}`,
      `  identity  ${identity || "-"}`,
      `  contract  ${contractSha256 || "-"}`,
      `  load      ${loadText(load) || "-"}`,
      `  age       ${registerTime === undefined ? "-" : ageText(nowMs - timestampMs(registerTime))}`,
    ];
    const endpoints = (registration?.endpoints ?? []).map(({ url, zone }) => `${url}${zone === "" ? "" : ` in ${zone}`}`);
    return `\n${endpoints.join("\n")}\n${lines.join("\n")}\n`;
  });
  return `${head.join("\n")}\n${instances.join("")}${contracts.map(contractText).join("")}`;
}

/** The files that are its own: what Google and others publish is known. */
function contractText(contract: Contract): string {
  const files = [...readContract(contract).files].filter(({ proto }) => !proto.name.startsWith("google/"));
  const texts = files.map((file) => `\n// ${file.proto.name}\n${protoText(file)}`);
  return `\n// contract ${contract.sha256}\n${texts.join("")}`;
}

/** One change for people; empty for what they need not see. @param known the agents told of so far, which it keeps. */
export function changeLine({ event }: WatchResponse, known: Map<string, RegisteredAgent>): string {
  if (event.case === "put") {
    const place = event.value.lease?.id ?? "";
    const isNew = known.get(place)?.lease?.revision !== event.value.lease?.revision;
    known.set(place, event.value);
    return `${isNew ? "+" : "~"} ${oneLine(event.value)}\n`;
  }
  if (event.case !== "delete") return "";
  const gone = known.get(event.value.leaseId);
  known.delete(event.value.leaseId);
  return `- ${gone === undefined ? event.value.leaseId : oneLine(gone)}\n`;
}

function oneLine({ registration, load }: RegisteredAgent): string {
  const urls = registration?.endpoints.map(({ url }) => url) ?? [];
  const busy = loadText(load);
  return `${registration?.agent?.name ?? ""} ${urls.join(",")}${busy === "" ? "" : ` (${busy})`}`;
}

function loadText(load: Load | undefined): string {
  if (load === undefined) return "";
  return load.capacity === 0 ? String(load.inFlight) : `${load.inFlight} of ${load.capacity}`;
}

const units: readonly (readonly [name: string, ms: number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
];

function ageText(ms: number): string {
  const [name, unitMs] = units.find(([, unitMs]) => ms >= unitMs) ?? ["s", 1_000];
  return `${Math.max(0, Math.floor(ms / unitMs))}${name}`;
}
