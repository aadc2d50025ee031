import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { AgentCard } from "../agent/index.ts";
import { type HeaderList, respondJson, type ServerExchange, withoutQuery } from "../wire/index.ts";

/** Where the build puts the page, seen from `src/server` and from `dist/server` alike. */
const pageFolder = join(import.meta.dirname, "../../dist/dashboard");

const contentTypes: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** The page's own scripts and styles and nothing else; no framing by others. */
const securityHeaders = [
  ...["content-security-policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"],
  ...["x-content-type-options", "nosniff"],
  ...["referrer-policy", "no-referrer"],
];

/** Answers `GET /`, the page's files and `GET /agents.json`; false when the path is none of them. */
export type PageHandler = (exchange: ServerExchange) => boolean;

/** Reads the built page once. Without a build, `GET /` says how to make one. */
export function createPage(cards: readonly AgentCard[]): PageHandler {
  const files = readFiles();
  const agents = Buffer.from(JSON.stringify(cards));
  return (exchange) => {
    const { method } = exchange;
    if (method !== "GET" && method !== "HEAD") return false;
    const path = withoutQuery(exchange.path);
    if (path === "/agents.json") {
      respondJson(exchange, 200, agents);
      return true;
    }
    const file = files.get(path === "/" ? "/index.html" : path);
    if (file === undefined) return false;
    exchange.respondWhole(200, [...securityHeaders, ...file.headers], method === "HEAD" ? undefined : file.body);
    return true;
  };
}

interface PageFile {
  readonly body: Buffer;
  readonly headers: HeaderList;
}

function readFiles(): Map<string, PageFile> {
  const files = new Map<string, PageFile>();
  try {
    for (const entry of readdirSync(pageFolder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      files.set(file.slice(pageFolder.length).replaceAll("\\", "/"), pageFile(entry.name, readFileSync(file)));
    }
  } catch {
    files.set("/index.html", pageFile("index.html", Buffer.from("The page is not built; npm run build builds it.\n")));
  }
  return files;
}

function pageFile(name: string, body: Buffer): PageFile {
  return {
    body,
    headers: [
      ...["content-type", contentTypes[extname(name)] ?? "application/octet-stream"],
      ...["content-length", String(body.length)],
      // Names under assets/ carry a hash of their content; the entry page must be asked for again.
      ...["cache-control", extname(name) === ".html" ? "no-cache" : "public, max-age=31536000, immutable"],
    ],
  };
}
