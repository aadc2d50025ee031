import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsOptions } from "../src/wire/index.ts";
import { createCertificate } from "./support/certificate.ts";
import { startHttp2 } from "./support/http2-server.ts";
import { describeWith, findTool, runTool } from "./support/tools.ts";

/** Cases of RFC 7540 that ask for what RFC 9113 took away: it has no dependencies between streams (section 5.3.2). */
const obsolete = [
  "http2/5.3.1: Sends HEADERS frame that depend on itself",
  "http2/5.3.1: Sends PRIORITY frame that depend on itself",
];

/** The port in clear text speaks HTTP/1.1 too: what does not begin as HTTP/2 is answered as that, with 400. */
const clearTextOnly = ["http2/3.5: Sends invalid connection preface"];

interface Case {
  /** Section and title. */
  readonly name: string;
  /** What was expected and what came; undefined when it passed. */
  readonly failure: string | undefined;
}

/** h2spec's JUnit report. It is no XML that a parser would take: bytes of frames stand in it as they are. */
function readReport(text: string): Case[] {
  const cases = text.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g);
  return [...cases].map(([, section, title, inside = ""]) => ({
    name: `${section}: ${title}`,
    failure: /<(?:error|failure)>([\s\S]*)<\//.exec(inside)?.[1]?.trim(),
  }));
}

describeWith(findTool("h2spec", "H2SPEC"), "h2spec", (path) => {
  async function failuresOf(tls: TlsOptions | undefined, excluded: readonly string[]): Promise<string[]> {
    const { port } = await startHttp2({ ...(tls && { tls }) });
    const folder = await mkdtemp(join(tmpdir(), "h2spec-"));
    const report = join(folder, "report.xml");
    await runTool(path, ["--strict", "-p", String(port), "-j", report, ...(tls === undefined ? [] : ["-t", "-k"])]);
    const cases = readReport(await readFile(report, "latin1"));
    await rm(folder, { recursive: true });
    expect(cases.length).toBeGreaterThan(140);
    expect(cases.map(({ name }) => name)).toEqual(expect.arrayContaining([...excluded]));
    const failed = cases.filter(({ name, failure }) => failure !== undefined && !excluded.includes(name));
    return failed.map(({ name, failure }) => `${name}: ${JSON.stringify(failure)}`);
  }

  test("finds nothing against RFC 9113 in clear text", async () => {
    expect(await failuresOf(undefined, [...obsolete, ...clearTextOnly])).toEqual([]);
  });

  test("finds nothing against RFC 9113 over TLS", async () => {
    expect(await failuresOf(await createCertificate(), obsolete)).toEqual([]);
  });
});
