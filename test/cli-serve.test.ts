import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { createCertificate } from "./support/certificate.ts";
import { convoke, type Process, type ProcessOptions, paste, quotedConvoke, runConvoke } from "./support/process.ts";
import { startServer } from "./support/server.ts";
import { describeWith, findTool } from "./support/tools.ts";

const fixtures = "test/fixtures/cli";
const shout = `${fixtures}/shout.ts`;
const slow = `${fixtures}/slow.mjs`;

interface Served {
  readonly process: Process;
  readonly url: string;
  /** What it printed for people, whole. */
  readonly welcome: string;
}

/** Serves on a free port, and gives what it printed once all of it is there. */
async function startServe(args: readonly string[], options: ProcessOptions = {}): Promise<Served> {
  const process = convoke(["serve", "--port", "0", ...args], options);
  const { 0: welcome, groups } = await process.seen(/^[\s\S]*? on (?<url>https?:\/\/\S+)\n[\s\S]*Ctrl-C stops\.\n/);
  return { process, url: groups?.["url"] ?? "", welcome };
}

/** The printed line that starts with this program, as a person would copy it. */
function lineOf(welcome: string, program: string): string {
  const line = welcome.split("\n").find((each) => each.startsWith(`  ${program} `));
  if (line === undefined) throw new Error(`no line with ${program} in ${welcome}`);
  return line;
}

async function stop({ process }: Served): Promise<void> {
  process.child.kill("SIGTERM");
  expect((await process.exit).code).toBe(0);
}

describe("the modules", () => {
  test("are TypeScript and JavaScript, with default or named exports; the first agent is the default one", async () => {
    const served = await startServe([shout, slow]);
    expect(served.welcome).toContain("Convoke serves 3 agents on http://127.0.0.1:");
    expect(served.welcome).toContain("  shout  Says it louder. (default)\n  slow   Waits for the end.\n  stuck\n");
    expect((await runConvoke(["call", served.url, "hi"])).stdout).toBe("HI\n");
    await stop(served);
  });

  test("may throw: one sentence, and the place in the developer's own code", async () => {
    const { code, stdout, stderr } = await runConvoke(["serve", shout, `${fixtures}/throws.mjs`]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^convoke: test\/fixtures\/cli\/throws\.mjs could not be loaded: there is no API_KEY\n/);
    expect(stderr).toMatch(/at readKey \(.*throws\.mjs:2:9\)/);
    expect(stderr).not.toMatch(/node:internal|dist/);
  });

  test("may be wrong JavaScript", async () => {
    const folder = await mkdtemp(join(tmpdir(), "convoke-cli-"));
    const file = join(folder, "syntax.mjs");
    await writeFile(file, "export const agent = = 1;\n");
    const { code, stderr } = await runConvoke(["serve", file]);
    expect(stderr).toBe(`convoke: ${file} could not be loaded: Unexpected token '='; node ${file} shows where\n`);
    expect(code).toBe(1);
    await rm(folder, { recursive: true });
  });

  test("end the program when they fail, whatever else they have started", async () => {
    const { code, stderr } = await runConvoke(["serve", `${fixtures}/busy.mjs`]);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("busy and broken") });
  });
});

describe("the port", () => {
  test("is that of the environment, unless --port says otherwise", async () => {
    const process = convoke(["serve", shout], { env: { PORT: "0" } });
    const [, port] = await process.seen(/ on http:\/\/127\.0\.0\.1:(\d+)\n/);
    expect(port).not.toBe("50051");
    process.child.kill("SIGTERM");
    await process.exit;
    await stop(await startServe([shout], { env: { PORT: "1" } })); // a port that takes rights, which --port 0 replaces
  });

  test("that is taken is one sentence and exit code 2", async () => {
    const { port } = await startServer();
    const exit = await runConvoke(["serve", shout, "--port", String(port)]);
    expect(exit).toEqual({ code: 2, stdout: "", stderr: `convoke: port ${port} is taken; choose another with --port\n` });
  });
});

describeWith(findTool("curl", "CURL"), "the printed lines work as pasted:", () => {
  let served: Served;

  beforeAll(async () => {
    served = await startServe([shout, slow]);
  });
  afterAll(() => stop(served));

  test("curl", async () => {
    const { code, stdout } = await paste(lineOf(served.welcome, "curl")).exit;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ content: "IT'S A QUIET DAY", status: "STATUS_COMPLETED" });
  });

  test("npx convoke", async () => {
    const { code, stdout } = await paste(lineOf(served.welcome, "npx convoke")).exit;
    expect({ code, stdout }).toEqual({ code: 0, stdout: "IT'S A QUIET DAY\n" });
  });

  test("of another agent than the default one, when only that one has an example", async () => {
    const other = await startServe([slow, shout]);
    const lines = [lineOf(other.welcome, "curl"), lineOf(other.welcome, "npx convoke")];
    for (const { stdout } of await Promise.all(lines.map((line) => paste(line).exit))) expect(stdout).toContain("QUIET DAY");
    await stop(other);
  });
});

describeWith(findTool("grpcurl", "GRPCURL"), "the printed line works as pasted:", (path) => {
  test("grpcurl", async () => {
    const served = await startServe([shout]);
    const PATH = [dirname(path), process.env["PATH"]].join(delimiter);
    const { code, stdout } = await paste(lineOf(served.welcome, "grpcurl"), { env: { PATH } }).exit;
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("IT'S A QUIET DAY") });
    await stop(served);
  });
});

describe("TLS", () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "convoke cli ")); // a blank in the path, for what is pasted
    const { cert, key } = await createCertificate();
    await writeFile(join(folder, "cert.pem"), cert);
    await writeFile(join(folder, "key.pem"), key);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const startTls = () => startServe([shout, "--tls-cert", join(folder, "cert.pem"), "--tls-key", join(folder, "key.pem")]);

  /** Serves with TLS and runs the printed line of that tool. */
  async function pasteLine(tool: string): Promise<void> {
    const served = await startTls();
    expect(served.url).toMatch(/^https:/);
    const { code, stdout } = await paste(lineOf(served.welcome, tool)).exit;
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("IT'S A QUIET DAY") });
    await stop(served);
  }

  test("is served with --tls-cert and --tls-key, and the printed line of npx knows it", () => pasteLine("npx convoke"));

  describeWith(findTool("curl", "CURL"), "and curl:", () => {
    test("the printed line knows it", () => pasteLine("curl"));
  });

  test("of an authority that the caller does not trust is refused, with a hint", async () => {
    const served = await startTls();
    const { code, stderr } = await runConvoke(["call", served.url, "x"]);
    expect(stderr).toMatch(
      /^convoke: the server's certificate is signed by an authority that is not trusted; --tls-ca [^\n]+\n$/,
    );
    expect(code).toBe(3);
    await stop(served);
  });
});

describe("the end", () => {
  test("SIGTERM lets the call in flight finish, refuses new ones and exits 0", async () => {
    const { process, url } = await startServe([slow]);
    const call = convoke(["call", url, "--stream", "x"]);
    await call.seen(/started/);
    process.child.kill("SIGTERM");
    expect(await call.exit).toEqual({ code: 0, stdout: "started and finished\n", stderr: "" });
    const { code, stderr } = await process.exit;
    expect(stderr).toContain('"msg":"stopped"');
    expect(code).toBe(0);
    expect((await runConvoke(["call", url, "x"])).code).toBe(3);
  });

  test("a second signal ends it at once", async () => {
    const { process, url } = await startServe([slow]);
    const call = convoke(["call", url, "--agent", "stuck", "--stream", "x"]);
    await call.seen(/started/);
    process.child.kill("SIGINT");
    await process.seen(/"msg":"draining"/, "stderr");
    process.child.kill("SIGINT");
    expect((await process.exit).code).toBe(130);
    call.child.kill("SIGINT");
    await call.exit;
  });

  test("comes not when whoever reads the welcome leaves", async () => {
    const process = paste(`exec ${quotedConvoke} serve ${shout} --port 0 > >(head -1)`);
    const [, url = ""] = await process.seen(/"url":"([^"]+)"/, "stderr");
    expect((await runConvoke(["call", url, "hi"])).stdout).toBe("HI\n");
    process.child.kill("SIGTERM");
    expect((await process.exit).code).toBe(0);
  });
});
