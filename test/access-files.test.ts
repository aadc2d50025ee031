import { X509Certificate } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { issueCertificate, openCertificateFolder } from "../src/identity/index.ts";
import {
  type AgentEndpoint,
  Code,
  type ConnectError,
  connect,
  createRegistrySource,
  type ServeOptions,
  type Server,
  type WatchedFiles,
  watchAuthorities,
  watchCertificates,
  watchPolicy,
} from "../src/index.ts";
import { createGate, echo } from "./support/agents.ts";
import { exampleAuthority } from "./support/authority.ts";
import { startServer } from "./support/server.ts";

const base = mkdtempSync(join(tmpdir(), "convoke-access-files-"));
const open = new Set<{ close(): void }>();
afterAll(() => {
  for (const each of open) each.close();
  rmSync(base, { recursive: true });
});

/** Notes what has to be closed. */
function closing<T extends { close(): void }>(each: T): T {
  open.add(each);
  return each;
}

/** An authority in a folder of its own, and certificates that it can issue again. */
async function createFolder() {
  const path = mkdtempSync(join(base, "certs-"));
  const authority = await exampleAuthority();
  const folder = openCertificateFolder(path);
  await folder.writeAuthority(authority);
  return {
    ca: folder.authority.certificate,
    /** Gives the serial number. */
    async issue(name: string): Promise<string> {
      const pair = await issueCertificate(authority, { name });
      await folder.writeCertificate(name, pair);
      return new X509Certificate(pair.certificate).serialNumber;
    },
    filesOf: (name: string) => ({ cert: join(path, `${name}.crt`), key: join(path, `${name}.key`) }),
    path,
  };
}

/** A server whose log a test can wait for. */
async function startLogged(options: Partial<ServeOptions>) {
  const lines: Record<string, unknown>[] = [];
  const waiting = new Set<() => void>();
  const write = (line: string) => {
    lines.push(JSON.parse(line));
    for (const look of [...waiting]) look();
  };
  const server = await startServer({ log: pino({ level: "info" }, { write }), ...options });
  const logged = (msg: RegExp) =>
    new Promise<Record<string, unknown>>((resolve) => {
      const look = () => {
        const index = lines.findIndex((line) => msg.test(String(line["msg"])));
        if (index < 0) return;
        waiting.delete(look);
        const [line = {}] = lines.splice(0, index + 1).slice(-1);
        resolve(line);
      };
      waiting.add(look);
      look();
    });
  return { server, logged };
}

function urlOf({ port }: Server): string {
  return `https://localhost:${port}`;
}

/** The serial number that a server shows to a connection of its own. */
async function shownBy(server: Server, watched: WatchedFiles<{ readonly ca?: Buffer }>): Promise<string> {
  let shown = "";
  const verifyPeer = ({ serialNumber }: X509Certificate) => {
    shown = serialNumber;
  };
  const agents = connect({ url: urlOf(server), tls: () => ({ ...watched.current, verifyPeer }) });
  await agents.agent("echo").process("hello");
  agents.close();
  return shown;
}

const access = { trustDomains: ["example.org"] };

describe("one watch of certificates", () => {
  /** A server and a client that show the certificate of the same files, and trust the same authorities. */
  async function startBoth() {
    const folder = await createFolder();
    const first = await folder.issue("both");
    const watched = closing(await watchCertificates({ ...folder.filesOf("both"), ca: folder.ca, clientCa: folder.ca }));
    const gate = createGate();
    const { server, logged } = await startLogged({ agents: [echo, gate.agent], tls: watched, access });
    const agents = closing(connect({ url: urlOf(server), tls: watched }));
    return { folder, first, watched, gate, server, logged, agents };
  }

  test("serves both sides; what is issued again goes to new connections, and those that live go on", async () => {
    const { folder, first, watched, gate, server, logged, agents } = await startBoth();
    expect(await shownBy(server, watched)).toBe(first);
    const stream = agents.agent("gated").stream("?")[Symbol.asyncIterator]();
    expect((await stream.next()).value?.text).toBe("first");
    const serial = await folder.issue("both");
    expect(await logged(/^the certificate changed$/)).toMatchObject({ serial, validTo: expect.any(String) });
    expect(await shownBy(server, watched)).toBe(serial);
    gate.open();
    expect((await stream.next()).value?.text).toBe(" second");
    expect((await agents.agent("echo").process("hello")).content).toBe("hello ");
  });

  test.each<[what: string, spoil: (file: string) => void, why: RegExp]>([
    ["no certificate", (file) => writeFileSync(file, "hello"), /both\.crt holds no PEM certificate/],
    ["gone", (file) => rmSync(file), /both\.crt cannot be read \(ENOENT/],
    [
      "half",
      (file) => writeFileSync(file, readFileSync(file, "utf8").slice(0, 300)),
      /both\.crt is broken: its certificate number 1 /,
    ],
  ])("tells the server's log of a file that is %s, and the old certificate serves on", async (_what, spoil, why) => {
    const { folder, first, watched, server, logged } = await startBoth();
    spoil(folder.filesOf("both").cert);
    const { err, level } = await logged(/^the new certificate cannot be used; what was there before stays$/);
    expect({ err, level }).toMatchObject({ err: { message: expect.stringMatching(why) }, level: pino.levels.values["error"] });
    expect(await shownBy(server, watched)).toBe(first);
    const serial = await folder.issue("both");
    await logged(/^the certificate changed$/);
    expect(await shownBy(server, watched)).toBe(serial);
  });

  test("tells of a bundle of authorities whose second one is broken, which OpenSSL would take without it", async () => {
    const { folder, logged } = await startBoth();
    const other = await exampleAuthority();
    writeFileSync(folder.ca, readFileSync(folder.ca, "utf8") + other.certificate.slice(0, -200));
    expect((await logged(/cannot be used/))["err"]).toMatchObject({
      message: expect.stringContaining(`${folder.ca} is broken: its certificate number 2 cannot be read`),
    });
  });

  test("takes an authority that is added, and lets one go that is taken away", async () => {
    const [ours, theirs] = await Promise.all([createFolder(), createFolder()]);
    await Promise.all([ours.issue("server"), theirs.issue("caller")]);
    const clientCa = join(ours.path, "callers.crt");
    cpSync(ours.ca, clientCa);
    const watched = closing(await watchCertificates({ ...ours.filesOf("server"), clientCa }));
    const { server, logged } = await startLogged({ agents: [echo], tls: watched, access });
    const caller = closing(await watchCertificates({ ...theirs.filesOf("caller"), ca: ours.ca }));
    const call = async () => {
      const agents = connect({ url: urlOf(server), tls: caller });
      return agents
        .process("hello")
        .then(
          ({ content }) => content,
          (thrown: ConnectError) => Code[thrown.code],
        )
        .finally(agents.close);
    };
    expect(await call()).toBe("Unavailable");
    writeFileSync(clientCa, readFileSync(ours.ca, "utf8") + readFileSync(theirs.ca, "utf8"));
    await logged(/^the certificate changed$/);
    expect(await call()).toBe("hello ");
    cpSync(ours.ca, clientCa);
    await logged(/^the certificate changed$/);
    expect(await call()).toBe("Unavailable");
  });

  test("is the program's: a server that closes leaves it as it is", async () => {
    const { folder, watched, server } = await startBoth();
    await server.close({ graceMs: 0 });
    const changed = new Promise((resolve) => watched.onChange(resolve));
    await folder.issue("both");
    await changed;
  });

  test("is what a client of several servers shows, too", async () => {
    const { watched, server } = await startBoth();
    const agents = closing(connect({ urls: [urlOf(server)], tls: watched }));
    expect((await agents.agent("echo").process("hello")).content).toBe("hello ");
  });

  test("proves a server to its registry, which records the identity", async () => {
    const { folder, watched, server: registry } = await startBoth();
    await registry.close({ graceMs: 0 });
    const keeper = await startServer({ agents: [], registry: true, tls: watched, access });
    await folder.issue("worker");
    const own = closing(await watchCertificates({ ...folder.filesOf("worker"), ca: folder.ca, clientCa: folder.ca }));
    const { server } = await startLogged({ agents: [echo], tls: own, access, register: { registry: urlOf(keeper), tls: own } });
    const agents = closing(connect({ registry: urlOf(keeper), tls: watched }));
    const source = closing(createRegistrySource({ registry: urlOf(keeper), tls: watched }));
    let endpoint: AgentEndpoint | undefined;
    for await ([endpoint] of source.watch({ agent: "echo" }, { signal: AbortSignal.timeout(10_000) })) {
      if (endpoint !== undefined) break;
    }
    expect(endpoint).toMatchObject({ url: server.url, identity: "spiffe://example.org/agent/worker" });
    expect((await agents.agent("echo").process("hello")).content).toBe("hello ");
  });
});

test("who has no certificate of its own watches authorities alone", async () => {
  const folder = await createFolder();
  await folder.issue("server");
  const { cert, key } = folder.filesOf("server");
  const server = await startServer({ agents: [echo], tls: { cert: readFileSync(cert), key: readFileSync(key) } });
  const watched = closing(await watchAuthorities(folder.ca));
  const agents = closing(connect({ url: urlOf(server), tls: watched }));
  expect((await agents.process("hello")).content).toBe("hello ");
  await expect(watchAuthorities(key)).rejects.toThrow(`${key} holds no PEM certificate`);
});

test("a watched policy holds for the next call, and one that is broken is logged while the old one holds", async () => {
  const file = join(base, "policy.json");
  const write = (...callers: string[]) =>
    writeFileSync(file, JSON.stringify({ rules: callers.length === 0 ? [] : [{ callers }] }));
  write("anonymous");
  const policy = closing(await watchPolicy(file));
  const { server, logged } = await startLogged({ agents: [echo], access: { allowAnonymous: true, policy } });
  const agents = closing(connect(server.url));
  await agents.process("hello");
  write("bob");
  expect((await logged(/^the new policy cannot be used/))["err"]).toMatchObject({
    message: expect.stringContaining(`${file} is no policy: rules[0].callers[0] is "bob"`),
  });
  await agents.process("hello");
  write();
  await logged(/^the policy changed$/);
  await expect(agents.process("hello")).rejects.toMatchObject({ code: Code.PermissionDenied });
});
