/** Who calls, and what they may: certificates, SPIFFE ids, bearer tokens, policy. */
export {
  type AuthorityOptions,
  agentId,
  createAuthority,
  defaultValidity,
  type IssueOptions,
  issueCertificate,
} from "./authority.ts";
export { type CertificateFolder, type CertificatePaths, openCertificateFolder } from "./certificate-folder.ts";
export { verifySpiffeId } from "./peer.ts";
export { parseSpiffeId, type SpiffeId, spiffeIdOf } from "./spiffe.ts";
export type { CertificatePair } from "./x509.ts";
