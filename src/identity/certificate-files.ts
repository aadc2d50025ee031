import { createPrivateKey, X509Certificate } from "node:crypto";
import type { TlsOptions } from "../wire/index.ts";
import { type WatchedFiles, type WatchOptions, watchFiles } from "./files.ts";

/** The PEM files of one side of TLS, or of both. */
export interface CertificateFilePaths extends Pick<TlsOptions, "clientCertificates"> {
  /** The certificate, and those of the authorities between it and the root. */
  readonly cert: string;
  /** Its key, without a passphrase. */
  readonly key: string;
  /** The authorities of the servers that are called. Default: the system's. */
  readonly ca?: string;
  /** The authorities of the callers that are served, who are then asked for a certificate. It may be the same file as `ca`. */
  readonly clientCa?: string;
}

/** What is in them, as `serve({ tls })` and `connect({ tls })` take it. */
export interface CertificateFiles extends Pick<TlsOptions, "clientCertificates"> {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
  readonly clientCa?: Buffer;
}

/**
 * Watches a certificate and its key, and the authorities where they are named. They change together: while the new certificate's key is
 * not there yet, the old pair stays. One watch serves both sides, `serve({ tls })` and `connect({ tls })`: connections that live go on as
 * they are, and new ones are made with what the files hold then.
 *
 * @throws Error that names the file which cannot be read, or is no certificate, or no key to it.
 */
export function watchCertificates(
  { cert, key, ca, clientCa, clientCertificates }: CertificateFilePaths,
  options: WatchOptions = {},
): Promise<WatchedFiles<CertificateFiles>> {
  const authorities = [...new Set([ca, clientCa])].filter((path) => path !== undefined);
  const read = ([certPem = nothing, keyPem = nothing, ...others]: readonly Buffer[]): CertificateFiles => {
    checkPair({ path: cert, pem: certPem }, { path: key, pem: keyPem });
    const pems = new Map(authorities.map((path, index) => [path, others[index] ?? nothing]));
    for (const [path, pem] of pems) readCertificates({ path, pem });
    const [trusted, callers] = [ca, clientCa].map((path) => (path === undefined ? undefined : pems.get(path)));
    return {
      ...{ cert: certPem, key: keyPem },
      ...(trusted && { ca: trusted }),
      ...(callers && { clientCa: callers }),
      ...(clientCertificates && { clientCertificates }),
    };
  };
  return watchFiles([cert, key, ...authorities], read, options);
}

/** Watches the authorities of the servers that are called, for who has no certificate of its own. @throws Error that names the file. */
export function watchAuthorities(path: string, options: WatchOptions = {}): Promise<WatchedFiles<{ readonly ca: Buffer }>> {
  const read = ([pem = nothing]: readonly Buffer[]) => {
    readCertificates({ path, pem });
    return { ca: pem };
  };
  return watchFiles([path], read, options);
}

interface PemFile {
  readonly path: string;
  readonly pem: Buffer;
}

const nothing = Buffer.alloc(0);

/** @throws TypeError that names the file which is not in order. */
function checkPair(cert: PemFile, key: PemFile): void {
  const [certificate] = readCertificates(cert);
  const privateKey = readKey(key);
  if (certificate?.checkPrivateKey(privateKey) !== true) throw new TypeError(`${key.path} is not the key of ${cert.path}`);
}

/** Each of them: OpenSSL takes those before a broken one, and says nothing of the rest. */
function readCertificates({ path, pem }: PemFile): X509Certificate[] {
  const blocks = pem.toString("latin1").match(/-----BEGIN CERTIFICATE-----[^-]*(?:-----END CERTIFICATE-----)?/g) ?? [];
  if (blocks.length === 0) throw new TypeError(`${path} holds no PEM certificate`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw new TypeError(`${path} is broken: its certificate number ${index + 1} cannot be read`, { cause });
    }
  });
}

function readKey({ path, pem }: PemFile) {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new TypeError(`${path} holds no PEM private key, or one with a passphrase`, { cause });
  }
}
