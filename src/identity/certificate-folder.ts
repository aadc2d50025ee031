import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkName } from "./authority.ts";
import type { CertificatePair } from "./x509.ts";

/** Where a certificate and its key are. */
export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
}

/**
 * A folder of certificates: the authority in `ca.crt` and `ca.key`, each agent's in `NAME.crt` and `NAME.key`. The folder is made with
 * mode 0700 when it is not there. Files have mode 0600 and are replaced whole, the key first: who reads meanwhile finds an old file or
 * a new one, never a half.
 */
export interface CertificateFolder {
  readonly authority: CertificatePaths;
  /** True when the authority's certificate or key is there. */
  hasAuthority(): Promise<boolean>;
  /** @throws the file system's error, ENOENT when there is none. */
  readAuthority(): Promise<CertificatePair>;
  /** Replaces the one that is there. @throws the file system's error. */
  writeAuthority(pair: CertificatePair): Promise<void>;
  /** Replaces the agent's last one. @throws TypeError for a name that cannot be, and the file system's error. */
  writeCertificate(name: string, pair: CertificatePair): Promise<CertificatePaths>;
}

const authorityName = "ca";

/** The folder at this path. Nothing is read or made yet. */
export function openCertificateFolder(path: string): CertificateFolder {
  const pathsOf = (name: string) => ({ certificate: join(path, `${name}.crt`), key: join(path, `${name}.key`) });
  const authority = pathsOf(authorityName);
  const write = async (name: string, pair: CertificatePair) => {
    const paths = pathsOf(name);
    await mkdir(path, { recursive: true, mode: 0o700 });
    await replaceFile(paths.key, pair.key);
    await replaceFile(paths.certificate, pair.certificate);
    return paths;
  };
  return {
    authority,
    hasAuthority: async () => (await exists(authority.certificate)) || (await exists(authority.key)),
    async readAuthority() {
      const [certificate, key] = await Promise.all([readFile(authority.certificate, "utf8"), readFile(authority.key, "utf8")]);
      return { certificate, key };
    },
    async writeAuthority(pair) {
      await write(authorityName, pair);
    },
    async writeCertificate(name, pair) {
      if (checkName(name) === authorityName) throw new TypeError(`"${name}" is the authority's own name; choose another`);
      return write(name, pair);
    },
  };
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch {
    return false;
  }
}

async function replaceFile(file: string, content: string): Promise<void> {
  const temporary = `${file}.${crypto.randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync(); // a power cut must not leave an empty file under the new name
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
}
