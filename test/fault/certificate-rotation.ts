import type { X509Certificate } from "node:crypto";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type CertificatePair, createAuthority, issueCertificate, openCertificateFolder } from "../../src/identity/index.ts";
import { type Agents, connect, watchCertificates } from "../../src/index.ts";
import type { Fault } from "./fault.ts";
import { kindsOf, startLoad } from "./load.ts";

const callsPerSecond = 200;
/** Pieces of each long stream, ten a second: longer than the whole rotation. */
const streamPieces = 150;
const streams = 20;
/** How long each step is looked at. */
const stepMs = 2_000;

export const certificateRotation: Fault = {
  name: "certificate-rotation",
  title: "both sides' certificates, then their authority, change on disk under load: no call fails and no stream is dropped",
  async run({ processes, say }) {
    const folder = await mkdtemp(join(tmpdir(), "convoke-rotation-"));
    try {
      const rotation = await createRotation(folder);
      const { ready } = await processes.start<{ port: number }>("rotating-server.ts", folder);
      const url = `https://localhost:${ready.port}`;
      const files = { cert: join(folder, "client.crt"), key: join(folder, "client.key"), ca: join(folder, "trusted.crt") };
      const tls = await watchCertificates(files);
      const first = tls.current;
      const agents = connect({ url, tls });
      const long = Array.from({ length: streams }, () => readStream(agents));
      // each on a connection of its own, so that the handshake is part of it
      const load = startLoad(callsPerSecond / 10, () => callAnew(url, tls.current));
      const steady = startLoad(callsPerSecond, async () => (await agents.process("1", { timeoutMs: 10_000 })).content);
      const serials: string[] = [];
      for (const [what, step] of rotation) {
        await step();
        await pause(stepMs);
        const serial = await serialOf(url, tls.current);
        say(
          `${what}: the server shows ${serial.slice(0, 8)}…, ${load.offered + steady.offered} calls, ${load.failures.length + steady.failures.length} failed`,
        );
        serials.push(serial);
      }
      const read = await Promise.all(long);
      await Promise.all([load.stop(), steady.stop()]);
      const refused = await callAnew(url, { ...tls.current, cert: first.cert, key: first.key }).then(
        () => false,
        () => true,
      );
      agents.close();
      tls.close();
      const failures = [...load.failures, ...steady.failures];
      if (failures.length > 0) say(kindsOf(failures));
      const whole = read.filter((pieces) => pieces === streamPieces).length;
      const shown = new Set(serials).size;
      return {
        met: failures.length === 0 && whole === streams && shown === 3 && refused,
        figures: `${failures.length} of ${load.offered + steady.offered} calls failed, ${whole} of ${streams} streams came whole; new connections were shown ${shown} certificates; a caller of the authority that is gone was ${refused ? "refused" : "served"}`,
      };
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

type Step = readonly [what: string, step: () => Promise<void>];

/** What is done to the files, in its order. */
async function createRotation(folder: string): Promise<Step[]> {
  const [old, next] = await Promise.all([1, 2].map(() => createAuthority({ trustDomain: "example.org" })));
  if (old === undefined || next === undefined) throw new Error("two were made");
  const issue = async (authority: CertificatePair) => {
    for (const name of ["server", "client"]) {
      await openCertificateFolder(folder).writeCertificate(name, await issueCertificate(authority, { name }));
    }
  };
  const trust = async (...authorities: CertificatePair[]) => {
    const file = join(folder, "trusted.crt");
    await writeFile(`${file}.new`, authorities.map(({ certificate }) => certificate).join(""));
    await rename(`${file}.new`, file);
  };
  await trust(old);
  await issue(old);
  return [
    ["as it begins", async () => {}],
    ["new certificates of the same authority", () => issue(old)],
    ["a second authority is trusted", () => trust(old, next)],
    ["new certificates of the second authority", () => issue(next)],
    ["the first authority is no longer trusted", () => trust(next)],
  ];
}

type Files = { readonly cert: Buffer; readonly key: Buffer; readonly ca?: Buffer };

async function callAnew(url: string, tls: Files): Promise<string> {
  const agents = connect({ url, tls });
  try {
    return (await agents.process("1", { timeoutMs: 10_000 })).content;
  } finally {
    agents.close();
  }
}

async function serialOf(url: string, tls: Files): Promise<string> {
  let serial = "";
  const verifyPeer = (certificate: X509Certificate) => {
    serial = certificate.serialNumber;
  };
  const agents = connect({ url, tls: { ...tls, verifyPeer } });
  await agents.process("1", { timeoutMs: 10_000 });
  agents.close();
  return serial;
}

/** Reads a long stream, and gives how many pieces came. */
async function readStream(agents: Agents): Promise<number> {
  let pieces = 0;
  try {
    for await (const { text } of agents.stream(String(streamPieces))) if (text !== "") pieces++;
  } catch {
    return pieces; // too few
  }
  return pieces;
}
