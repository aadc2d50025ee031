import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { identityBounds } from "../src/core/index.ts";
import {
  type CertificatePair,
  issueCertificate,
  openCertificateFolder,
  type WatchedFiles,
  type WatchOptions,
  watchCertificates,
  watchFiles,
  watchPolicy,
} from "../src/identity/index.ts";
import { createListener, createRpcHandler, createTransport } from "../src/wire/index.ts";
import { exampleAuthority } from "./support/authority.ts";
import { Wire } from "./support/wire-service.ts";

const base = mkdtempSync(join(tmpdir(), "convoke-files-"));
const open = new Set<{ close(): void }>();
afterAll(() => {
  for (const each of open) each.close();
  rmSync(base, { recursive: true });
});
let folders = 0;

function newFolder(): string {
  const folder = join(base, String(folders++));
  mkdirSync(folder);
  return folder;
}

/** The next content, or the next problem. */
function next<T>(watched: WatchedFiles<T>): Promise<T> {
  return new Promise((resolve) => {
    const stop = watched.onChange((content) => {
      stop();
      resolve(content);
    });
  });
}

/** Problems one after another, as they come. */
function problems() {
  const seen: Error[] = [];
  const waiting: ((problem: Error) => void)[] = [];
  return {
    of: (watched: WatchedFiles<unknown>) => {
      watched.onProblem((problem) => {
        seen.push(problem);
        waiting.shift()?.(problem);
      });
    },
    next: () => new Promise<Error>((resolve) => waiting.push(resolve)),
    seen,
  };
}

async function watchText(file: string, options: WatchOptions = {}): Promise<WatchedFiles<string>> {
  const read = ([content]: readonly Buffer[]) => {
    const text = String(content);
    if (text === "broken") throw new SyntaxError("it is broken");
    return text;
  };
  const watched = await watchFiles([file], read, options);
  open.add(watched);
  return watched;
}

describe("a file that changes is read again", () => {
  test("when it is written in place", async () => {
    const file = join(newFolder(), "file");
    writeFileSync(file, "one");
    const watched = await watchText(file);
    expect(watched.current).toBe("one");
    const changed = next(watched);
    writeFileSync(file, "two");
    expect(await changed).toBe("two");
    expect(watched.current).toBe("two");
  });

  test("when it is replaced", async () => {
    const folder = newFolder();
    const file = join(folder, "file");
    writeFileSync(file, "one");
    const watched = await watchText(file);
    for (const text of ["two", "three"]) {
      const changed = next(watched);
      writeFileSync(join(folder, "new"), text);
      renameSync(join(folder, "new"), file);
      expect(await changed).toBe(text);
    }
  });

  test("when a link beside it is turned, as Kubernetes does", async () => {
    const folder = newFolder();
    for (const version of ["one", "two"]) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, "file"), version);
    }
    symlinkSync("one", join(folder, "..data"));
    symlinkSync(join("..data", "file"), join(folder, "file"));
    const watched = await watchText(join(folder, "file"));
    const changed = next(watched);
    symlinkSync("two", join(folder, "new"));
    renameSync(join(folder, "new"), join(folder, "..data"));
    expect(await changed).toBe("two");
  });

  test("where the file system tells nothing: the file is a link into another folder", async () => {
    const [folder, other] = [newFolder(), newFolder()];
    writeFileSync(join(other, "file"), "one");
    symlinkSync(join(other, "file"), join(folder, "file"));
    const watched = await watchText(join(folder, "file"), { pollMs: 20 });
    const changed = next(watched);
    writeFileSync(join(other, "file"), "another");
    expect(await changed).toBe("another");
  });

  test("in a folder that is never left alone", async () => {
    const folder = newFolder();
    const file = join(folder, "file");
    writeFileSync(file, "one");
    const watched = await watchText(file);
    let count = 0;
    const busy = setInterval(() => writeFileSync(join(folder, "log"), String(count++)), identityBounds.fileQuietMs / 4);
    const changed = next(watched);
    writeFileSync(file, "two");
    expect(await changed).toBe("two");
    clearInterval(busy);
  });

  test("and its listeners are told in turn, whatever one of them throws", async () => {
    const file = join(newFolder(), "file");
    writeFileSync(file, "one");
    const told = problems();
    const watched = await watchText(file);
    told.of(watched);
    watched.onChange(() => {
      throw new Error("the listener failed");
    });
    const changed = next(watched);
    writeFileSync(file, "two");
    expect(await changed).toBe("two");
    expect(told.seen.map(({ message }) => message)).toEqual(["the listener failed"]);
  });
});

describe("what is not in order keeps the old content, and is told", () => {
  test("once for each content, and the next one that is in order is taken", async () => {
    const file = join(newFolder(), "file");
    writeFileSync(file, "one");
    const told = problems();
    const watched = await watchText(file, { pollMs: 20 });
    told.of(watched);
    const problem = told.next();
    writeFileSync(file, "broken");
    expect((await problem).message).toBe("it is broken");
    expect(watched.current).toBe("one");
    const changed = next(watched);
    writeFileSync(file, "two");
    expect(await changed).toBe("two");
    expect(told.seen).toHaveLength(1);
  });

  test("when the file is gone, and when it is too long", async () => {
    const file = join(newFolder(), "file");
    writeFileSync(file, "one");
    const told = problems();
    const watched = await watchText(file);
    told.of(watched);
    const gone = told.next();
    rmSync(file);
    expect((await gone).message).toContain("ENOENT");
    const long = told.next();
    writeFileSync(file, "");
    truncateSync(file, identityBounds.maxFileBytes + 1);
    expect((await long).message).toContain(`longer than ${identityBounds.maxFileBytes} bytes`);
    expect(watched.current).toBe("one");
  });
});

test("what is not there, or not in order, at first is an error", async () => {
  const file = join(newFolder(), "file");
  await expect(watchText(file)).rejects.toThrow("ENOENT");
  writeFileSync(file, "broken");
  await expect(watchText(file)).rejects.toThrow("it is broken");
});

test("a policy file is watched as a policy", async () => {
  const file = join(newFolder(), "policy.json");
  writeFileSync(file, '{ "rules": [] }');
  const told = problems();
  const watched = await watchPolicy(file);
  told.of(watched);
  open.add(watched);
  const problem = told.next();
  writeFileSync(file, '{ "rules": [{ "callers": ["bob"] }] }');
  expect((await problem).message).toContain('rules[0].callers[0] is "bob"');
  expect(watched.current.rules).toEqual([]);
  const changed = next(watched);
  writeFileSync(file, '{ "rules": [{ "callers": ["anonymous"] }] }');
  expect((await changed).rules).toEqual([{ callers: ["anonymous"] }]);
});

describe("certificates", () => {
  let authority: CertificatePair;
  beforeAll(async () => {
    authority = await exampleAuthority();
  });

  async function issued() {
    const path = newFolder();
    const folder = openCertificateFolder(path);
    await folder.writeAuthority(authority);
    const renew = async () => {
      const pair = await issueCertificate(authority, { name: "server" });
      const paths = await folder.writeCertificate("server", pair);
      return { pair, paths };
    };
    const { paths } = await renew();
    return { renew, files: { cert: paths.certificate, key: paths.key, ca: folder.authority.certificate } };
  }

  test("change together with their keys", async () => {
    const { files } = await issued();
    const told = problems();
    const watched = await watchCertificates(files);
    told.of(watched);
    open.add(watched);
    const before = watched.current;
    const pair = await issueCertificate(authority, { name: "server" });
    const problem = told.next();
    writeFileSync(files.cert, pair.certificate);
    expect((await problem).message).toBe(`${files.key} is not the key of ${files.cert}`);
    expect(watched.current).toBe(before);
    const changed = next(watched);
    writeFileSync(files.key, pair.key);
    expect(String((await changed).cert)).toBe(pair.certificate);
  });

  test.each<[what: string, content: string]>([
    ["empty", ""],
    ["half", "-----BEGIN CERTIFICATE-----\nMIIB"],
    ["no certificate", "hello"],
  ])("that are %s keep the old ones", async (_what, content) => {
    const { files } = await issued();
    const told = problems();
    const watched = await watchCertificates(files);
    told.of(watched);
    open.add(watched);
    const problem = told.next();
    writeFileSync(files.cert, content);
    await problem;
    expect(new X509Certificate(watched.current.cert).subject).toBe("CN=server");
  });

  test("that are issued again are shown by new connections, and a stream on a live one goes on", async () => {
    const { files, renew } = await issued();
    const watched = await watchCertificates(files);
    let release: () => void = () => {};
    const { handle } = createRpcHandler({
      routes: (router) =>
        router.service(Wire, {
          say: () => ({ value: "here" }),
          async *list() {
            yield { value: "first" };
            await new Promise<void>((resolve) => {
              release = resolve;
            });
            yield { value: "second" };
          },
        }),
    });
    const listener = createListener({ onRequest: handle, tls: watched.current });
    watched.onChange((current) => listener.setTls(current));
    const { port } = await listener.listen("127.0.0.1", 0);
    open.add(watched).add({ close: () => void listener.close() });

    const shown: string[] = [];
    const verifyPeer = ({ serialNumber }: X509Certificate) => void shown.push(serialNumber);
    const client = () => {
      const tls = { ca: authority.certificate, verifyPeer };
      const transport = createTransport({ baseUrl: `https://localhost:${port}`, tls });
      open.add(transport);
      return createClient(Wire, transport);
    };
    const stream = client().list({})[Symbol.asyncIterator]();
    expect((await stream.next()).value?.value).toBe("first");
    const changed = next(watched);
    const { pair } = await renew();
    await changed;
    await client().say({});
    expect(shown).toHaveLength(2);
    expect(shown[1]).toBe(new X509Certificate(pair.certificate).serialNumber);
    release();
    expect((await stream.next()).value?.value).toBe("second");
    expect((await stream.next()).done).toBe(true);
  });
});
