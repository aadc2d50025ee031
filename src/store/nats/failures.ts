import { ConnectError } from "@connectrpc/connect";
import { JetStreamApiError } from "@nats-io/jetstream";
import {
  AuthorizationError,
  ConnectionError,
  NoRespondersError,
  PermissionViolationError,
  RequestError,
  TimeoutError,
  UserAuthenticationExpiredError,
} from "@nats-io/transport-node";
import { dataLoss, failedPrecondition, internal, natsBounds, resourceExhausted, unavailable } from "../../core/index.ts";

/** What JetStream's errors of interest are (nats-server, server/errors.json). */
const codes = {
  accountLimits: 10002,
  notFound: 10037,
  notEnabledForAccount: 10039,
  memoryFull: 10028,
  diskFull: 10047,
  streamNotFound: 10059,
  overlap: 10065,
  wrongLastSequence: 10071,
  notEnabled: 10076,
  storeFailed: 10077,
  nameTaken: 10058,
  maxBytesRequired: 10113,
  tooManyStreams: 10027,
  replicasAlone: 10074,
  noPeers: 10005,
  writeUnderWay: 10164,
  streamBytesLimit: 10122,
} as const;

export function codeOf(thrown: unknown): number | undefined {
  return thrown instanceof JetStreamApiError ? thrown.code : undefined;
}

/** The subject has had another write since. */
export function isWrongSequence(thrown: unknown): boolean {
  return codeOf(thrown) === codes.wrongLastSequence;
}

export function isNoStream(thrown: unknown): boolean {
  return codeOf(thrown) === codes.streamNotFound;
}

/** True for what the same call may not meet a moment later: no answer, no leader, a write of the subject under way. */
export function isPassing(thrown: unknown): boolean {
  if (thrown instanceof TimeoutError || thrown instanceof ConnectionError) return true;
  if (thrown instanceof RequestError || thrown instanceof NoRespondersError)
    return !(thrown.cause instanceof PermissionViolationError);
  if (!(thrown instanceof JetStreamApiError)) return isNotEnabled(thrown);
  if (thrown.code === codes.writeUnderWay) return true;
  if (thrown.code === codes.noPeers) return thrown.message.includes("offline"); // which servers there are is one thing, which of them are up another
  return (
    thrown.status >= 500 && !isFull(thrown) && thrown.code !== codes.notEnabledForAccount && thrown.code !== codes.replicasAlone
  );
}

/** The client's word for "nobody takes JetStream's requests". */
export function isNotEnabled(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === "JetStreamNotEnabled";
}

function isFull(thrown: unknown): boolean {
  if (!(thrown instanceof JetStreamApiError)) return false;
  const { code, message } = thrown;
  if (code === codes.storeFailed) return /maximum (bytes|messages)|no space/.test(message);
  return [codes.accountLimits, codes.memoryFull, codes.diskFull].some((each) => each === code);
}

/** What a call that failed for good throws. The client's error goes along for the log alone. */
export function toStoreError(what: string, thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (isFull(thrown)) {
    return resourceExhausted({ subject: what, description: `the store is full: ${sentenceOf(thrown)}` });
  }
  if (isNoStream(thrown)) {
    const description = `${what}: its stream is gone from NATS; somebody has deleted it`;
    return failedPrecondition({ type: "NATS_STREAM", subject: what, description });
  }
  if (
    thrown instanceof PermissionViolationError ||
    (thrown instanceof RequestError && thrown.cause instanceof PermissionViolationError)
  ) {
    const description = `${what}: NATS does not allow it to this user`;
    return failedPrecondition({ type: "NATS_PERMISSION", subject: what, description });
  }
  return internal(`${what}: NATS refused it`, { cause: thrown });
}

/** UNAVAILABLE: NATS has not answered for as long as a call waits. */
export function noAnswer(what: string, cause: unknown): ConnectError {
  return unavailable(`${what}: NATS is away, or the streams have no majority of their servers`, 1_000, { cause });
}

/** FAILED_PRECONDITION: the store has been closed. */
export function storeClosed(): ConnectError {
  return failedPrecondition({ type: "STORE_CLOSED", subject: "store", description: "the store is closed" });
}

/** DATA_LOSS: an entry that was acknowledged is not there, or not as it was written. */
export function entryLost(log: string, entry: number, why: string): ConnectError {
  return dataLoss(`entry ${entry} of log "${log}" is lost: ${why}`, {
    reason: "STORE_DAMAGED",
    metadata: { log, entry: `${entry}` },
  });
}

/** What the start says of a connection that did not come about. */
export function startFailure(servers: readonly string[], thrown: unknown): ConnectError {
  const where = servers.join(", ");
  if (thrown instanceof ConnectError) return thrown;
  if (isRefusal(thrown)) {
    const description = `NATS at ${where} does not accept the credentials`;
    return failedPrecondition({ type: "NATS_CREDENTIALS", subject: where, description });
  }
  return unavailable(`no NATS server answers at ${where}`, natsBounds.attemptMs, { cause: thrown });
}

/** True when trying again will not help: who this is has not been accepted. */
export function isRefusal(thrown: unknown): boolean {
  return thrown instanceof AuthorizationError || thrown instanceof UserAuthenticationExpiredError;
}

/** FAILED_PRECONDITION: there are no streams here. */
export function jetStreamOff(): ConnectError {
  const description = "JetStream is off, on this NATS server or for this account";
  return failedPrecondition({ type: "NATS_JETSTREAM", subject: "JetStream", description });
}

/** What the start says of a request to JetStream that failed. */
export function setUpFailure(what: string, thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const refuse = (type: string, description: string) => failedPrecondition({ type, subject: what, description });
  switch (codeOf(thrown)) {
    case codes.notEnabled:
    case codes.notEnabledForAccount:
      return jetStreamOff();
    case codes.overlap:
    case codes.nameTaken:
      return refuse(
        "NATS_STREAM",
        `${what} cannot be made: somebody else's stream has its name or its subjects; choose another prefix`,
      );
    case codes.replicasAlone:
      return refuse(
        "NATS_REPLICAS",
        `${what} cannot have its replicas: the NATS server is alone; start a cluster, or ask for 1`,
      );
    case codes.noPeers:
      return refuse("NATS_REPLICAS", `${what} cannot have its replicas: ${sentenceOf(thrown)}`);
    case codes.maxBytesRequired:
    case codes.streamBytesLimit:
      return refuse("NATS_LIMITS", `${what} cannot be made: ${sentenceOf(thrown)}; set maxBytes`);
    case codes.tooManyStreams:
      return refuse("NATS_LIMITS", `${what} cannot be made: the account may have no more streams`);
    default:
      return toStoreError(what, thrown);
  }
}

function sentenceOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : "NATS does not say why";
}
