import { X509Certificate } from "node:crypto";
import type { Logger } from "pino";
import type { WatchedFiles } from "../identity/index.ts";
import type { Listener, TlsOptions } from "../wire/index.ts";

/** Something as it is, or as some files have it at the time. */
export type MaybeWatched<T> = T | WatchedFiles<T>;

/** What holds now. */
export function currentOf<T>(value: MaybeWatched<T>): T {
  return isWatched(value) ? (value as WatchedFiles<T>).current : value; // no T is watched itself
}

/** The options of a server that may be watched. */
export interface WatchedOptions {
  readonly tls?: MaybeWatched<TlsOptions>;
  readonly access?: { readonly policy?: unknown };
  readonly register?: { readonly tls?: unknown };
}

/**
 * Gives the listener each new certificate, and logs what becomes of all the files that the options follow, until what it returns is
 * called. The watches are the program's to close: others may use them too.
 */
export function followFiles({ tls, access, register }: WatchedOptions, listener: Listener, log: Logger): () => void {
  const stops: (() => void)[] = [];
  const follow = <T>(watched: WatchedFiles<T>, what: string, take: (current: T) => object = () => ({})) => {
    stops.push(
      watched.onChange((current) => log.info(take(current), `the ${what} changed`)),
      watched.onProblem((err) => log.error({ err }, `the new ${what} cannot be used; what was there before stays`)),
    );
  };
  if (isWatched(tls)) {
    follow(tls, "certificate", (current) => {
      listener.setTls(current);
      return describe(current);
    });
    listener.setTls(tls.current); // it may have changed while the listener was binding
  }
  if (isWatched(access?.policy)) follow(access.policy, "policy");
  if (isWatched(register?.tls) && register.tls !== tls) follow(register.tls, "certificate for the registry");
  return () => {
    for (const stop of stops) stop();
  };
}

/** For the log: which certificate it is. */
function describe({ cert }: TlsOptions): object {
  if (cert === undefined || Array.isArray(cert)) return {};
  const { serialNumber, validTo } = new X509Certificate(cert);
  return { serial: serialNumber, validTo: new Date(validTo).toISOString() };
}

function isWatched(value: unknown): value is WatchedFiles<unknown> {
  return typeof value === "object" && value !== null && "onChange" in value;
}
