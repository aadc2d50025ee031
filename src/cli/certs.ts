import { X509Certificate } from "node:crypto";
import { Command, InvalidArgumentError, Option } from "commander";
import {
  agentId,
  type CertificatePair,
  createAuthority,
  defaultValidity,
  issueCertificate,
  openCertificateFolder,
  spiffeIdOf,
} from "../identity/index.ts";
import { collect } from "./collect.ts";
import { isCode, UsageError } from "./failure.ts";
import { write } from "./print.ts";
import { shellQuote } from "./shell-quote.ts";

interface InitOptions {
  readonly dir: string;
  readonly trustDomain: string;
  readonly days?: number;
  readonly force?: boolean;
}

interface IssueCommandOptions {
  readonly dir: string;
  readonly dns?: string[];
  readonly ip?: string[];
  readonly hours?: number;
  readonly days?: number;
}

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;
const defaultFolder = "certs";

export const command = new Command("certs")
  .description("Make an authority and certificates for development: agents prove with them who they are.")
  .addHelpText(
    "after",
    `
Examples
  convoke certs init --trust-domain example.org
  convoke certs issue scheduler
  convoke certs issue scheduler --dns scheduler.internal --ip 10.0.0.7 --days 7`,
  );

command
  .command("init")
  .description("Make an authority that signs the certificates of one trust domain.")
  .option("--dir <folder>", "where its files go", defaultFolder)
  .option("--trust-domain <name>", "the domain of the SPIFFE ids that it signs", "example.org")
  .option("--days <number>", `how long it is valid (default: ${defaultValidity.authorityMs / dayMs})`, parseAmount)
  .option("--force", "replace an authority that is there; what it signed is then no longer trusted")
  .action(async ({ dir, trustDomain, days, force }: InitOptions) => {
    const folder = openCertificateFolder(dir);
    if (!force && (await folder.hasAuthority())) {
      throw new UsageError(`${dir} has an authority already; --force replaces it, and with it the trust in what it signed`);
    }
    const pair = await usable(createAuthority({ trustDomain, ...(days && { validMs: days * dayMs }) }));
    await folder.writeAuthority(pair);
    const { authority } = folder;
    await write(`${lines([
      [
        authority.certificate,
        `the authority of spiffe://${trustDomain}, ${validity(pair)}; for whoever is to trust its certificates`,
      ],
      [authority.key, "its key; whoever has it can be any agent of the trust domain"],
    ])}
Issue a certificate for an agent:
  convoke certs issue scheduler${dir === defaultFolder ? "" : ` --dir ${shellQuote(dir)}`}
`);
  });

command
  .command("issue")
  .description(
    "Issue a certificate for an agent, signed by the authority of `convoke certs init`, for serving and for calling.",
  )
  .argument("<name>", "the agent; its SPIFFE id is spiffe://TRUST-DOMAIN/agent/NAME")
  .option("--dir <folder>", "where the authority is and the files go", defaultFolder)
  .option("--dns <name>", "a host name by which it is called; can be repeated (default: localhost)", collect)
  .option("--ip <address>", "an IP address by which it is called; can be repeated (default: 127.0.0.1 and ::1)", collect)
  .addOption(
    new Option("--hours <number>", `how long it is valid (default: ${defaultValidity.certificateMs / hourMs})`)
      .argParser(parseAmount)
      .conflicts("days"),
  )
  .option("--days <number>", "the same in days", parseAmount)
  .action(async (name: string, { dir, dns, ip, hours, days }: IssueCommandOptions) => {
    const folder = openCertificateFolder(dir);
    const authority = await folder.readAuthority().catch((thrown: unknown) => {
      if (isCode(thrown, "ENOENT")) throw new UsageError(`${dir} has no authority; convoke certs init makes one`);
      throw thrown;
    });
    const validMs = hours !== undefined ? hours * hourMs : days !== undefined ? days * dayMs : undefined;
    const addresses = { ...(dns && { dns }), ...(ip && { ips: ip }) };
    const pair = await usable(issueCertificate(authority, { name, ...addresses, ...(validMs !== undefined && { validMs }) }));
    const paths = await usable(folder.writeCertificate(name, pair));
    const id = agentId(spiffeIdOf(new X509Certificate(authority.certificate)).trustDomain, name);
    const own = `--tls-cert ${shellQuote(paths.certificate)} --tls-key ${shellQuote(paths.key)}`;
    const ca = shellQuote(folder.authority.certificate);
    await write(`${lines([
      [paths.certificate, `${id}, ${validity(pair)}`],
      [paths.key, "its key"],
    ])}
Serve with them, to callers that show a certificate of the same authority, and call with them:
  convoke serve agent.ts ${own} --client-ca ${ca}
  convoke call https://${hostOf(dns, ip)}:50051 ${own} --tls-ca ${ca} "hello"
`);
  });

/** What cannot be made is the caller's mistake. */
async function usable<T>(made: Promise<T>): Promise<T> {
  return made.catch((thrown: unknown) => {
    if (thrown instanceof TypeError || thrown instanceof RangeError) throw new UsageError(thrown.message);
    throw thrown;
  });
}

function validity({ certificate }: CertificatePair): string {
  return `valid until ${new Date(new X509Certificate(certificate).validTo).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** A name by which the agent can be called, as a URL has it. */
function hostOf(dns: readonly string[] = [], ips: readonly string[] = []): string {
  const [ip] = ips;
  return dns.find((name) => !name.startsWith("*")) ?? (ip?.includes(":") ? `[${ip}]` : ip) ?? "localhost";
}

function lines(rows: readonly (readonly [file: string, what: string])[]): string {
  const width = Math.max(...rows.map(([file]) => file.length));
  return rows.map(([file, what]) => `${file.padEnd(width)}  ${what}\n`).join("");
}

function parseAmount(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("write a whole number from 1 to 99999");
}
