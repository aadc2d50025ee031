/** Who calls, and what they may: certificates, SPIFFE ids, bearer tokens, policy. */
export {
  type AuthorityOptions,
  agentId,
  createAuthority,
  defaultValidity,
  type IssueOptions,
  issueCertificate,
} from "./authority.ts";
export {
  type AnonymousCaller,
  anonymous,
  type CallerIdentity,
  type CertificateCaller,
  createIdentify,
  type Evidence,
  type Identify,
  type IdentifyOptions,
  type TokenCaller,
} from "./caller.ts";
export { type CertificateFilePaths, type CertificateFiles, watchAuthorities, watchCertificates } from "./certificate-files.ts";
export { type CertificateFolder, type CertificatePaths, openCertificateFolder } from "./certificate-folder.ts";
export { type WatchedFiles, type WatchOptions, watchFiles, watchPolicy } from "./files.ts";
export type { KeyLocation } from "./key-set.ts";
export { verifySpiffeId } from "./peer.ts";
export { definePolicy, type Policy, type PolicyRequest, type PolicyRule, parsePolicy } from "./policy.ts";
export { parseSpiffeId, type SpiffeId, spiffeIdOf } from "./spiffe.ts";
export {
  createTokenVerifier,
  type TokenAlgorithm,
  type TokenOptions,
  type TokenReason,
  type TokenVerifier,
  tokenAlgorithms,
  type VerifiedToken,
} from "./tokens.ts";
export type { CertificatePair } from "./x509.ts";
