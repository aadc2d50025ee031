import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, runConvoke } from "./support/process.ts";

const fixtures = "test/fixtures/cli";

describe("help", () => {
  test("lists the commands, examples and exit codes", async () => {
    const { code, stdout } = await runConvoke(["--help"]);
    expect(code).toBe(0);
    for (const part of ["serve  ", "call  ", "agents  ", "registry  ", "chat  ", "certs  ", "Examples", "Exit codes"])
      expect(stdout).toContain(part);
  });

  test.each(["serve", "call", "tasks", "agents", "registry", "chat", "memory", "certs"])(
    "of %s is its own, asked for in either way",
    async (command) => {
      const [asked, ordered] = await Promise.all([runConvoke([command, "--help"]), runConvoke(["help", command])]);
      expect(asked).toEqual(ordered);
      expect(asked).toMatchObject({ code: 0, stderr: "" });
      expect(asked.stdout).toContain(`Usage: convoke ${command} [options]`);
      expect(asked.stdout).toContain(`Examples\n  convoke ${command} `);
    },
  );

  test("comes on standard error when no command is given", async () => {
    const { code, stdout, stderr } = await runConvoke([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Usage: convoke");
  });
});

test("--version prints the version of the package", async () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(await runConvoke(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

describe("wrong usage is one sentence and exit code 2:", () => {
  const agent = `${fixtures}/shout.ts`;
  test.each<[args: string[], sentence: RegExp]>([
    [["sing"], /unknown command 'sing'; convoke --help shows how/],
    [["serv"], /unknown command 'serv' \(Did you mean serve\?\)/],
    [["help", "sing"], /unknown command 'sing'/],
    [["call"], /missing required argument 'target'; convoke call --help shows how/],
    [["call", "x", "y", "--loud"], /unknown option '--loud'/],
    [["call", "x", "y", "--protocol", "soap"], /grpc, grpc-web, connect/],
    [["call", "x", "y", "--timeout", "soon"], /'soon' is invalid: write a time such as 500ms/],
    [["call", "x", "y", "--timeout", "1000h"], /at most 24 days/],
    [["call", "x", "y", "--header", "secret"], /write "name: value"/],
    [["call", "x", "y", "--header", "a: \u{1f511}"], /write "name: value"/],
    [["call", "ftp://x", "y"], /"ftp:\/\/x" is no server; write http:\/\//],
    [["call", "x", "y", "--tls-ca", "none.pem"], /none\.pem cannot be read/],
    [["call", "x", "y", "--tls-ca", agent], /shout\.ts holds no PEM certificate/],
    [["call", "x", ""], /there is nothing to ask; add the text/],
    [["call", "x"], /there is nothing to ask; add the text/],
    [["chat", "x", "--protocol", "grpc-web"], /Allowed choices are grpc, connect/],
    [["serve"], /missing required argument 'file'; convoke serve --help/],
    [["serve", "none.ts"], /there is no file none\.ts/],
    [["serve", fixtures], /test\/fixtures\/cli is a folder; name the modules in it/],
    [["serve", `${fixtures}/nothing.mjs`], /nothing\.mjs exports no agent; write export default defineAgent\(/],
    [["serve", agent, `./${agent}`], /two agents are named "shout", one in test\/.*\.ts and one in \.\/test\/.*\.ts;/],
    [["serve", agent, "--port", "70000"], /'70000' is invalid: a port is a whole number from 0 to 65535/],
    [["serve", agent, "--host", "192.0.2.1"], /192\.0\.2\.1 is no address of this machine; choose one with --host/],
    [["serve", agent, "--limit", "maxFun=1"], /there is no limit "maxFun"; the limits are maxMessageBytes, /],
    [["serve", agent, "--limit", "maxTurns=many"], /write name=value with a whole number/],
    [["serve", agent, "--tls-cert", agent], /TLS needs both --tls-cert and --tls-key/],
    [["serve", agent, "--tls-cert", agent, "--tls-key", agent], /shout\.ts holds no PEM certificate/],
  ])("convoke %j", async (args, sentence) => {
    const { code, stdout, stderr } = await runConvoke(args, { env: { LOG_LEVEL: "silent" } });
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^convoke: [^\n]+\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  test("PORT that is no port", async () => {
    const { code, stderr } = await runConvoke(["serve", agent], { env: { PORT: "" } });
    expect(stderr).toMatch(/^convoke: .* value '' from env 'PORT' is invalid: a port is a whole number [^\n]+\n$/);
    expect(code).toBe(2);
  });
});
