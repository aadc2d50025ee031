import { readFile, stat } from "node:fs/promises";
import { isNativeError } from "node:util/types";
import type { CryptoKey, FlattenedJWSInput, JSONWebKeySet, JWSHeaderParameters, LocalJWKSet } from "jose";
import { identityBounds } from "../core/index.ts";
import { isLoopbackName } from "../wire/index.ts";

/** Where the public keys of an issuer are: a JSON Web Key Set (RFC 7517). */
export type KeyLocation =
  | { readonly file: string }
  /** `https`, or `http` on this machine. Redirects are not followed. */
  | { readonly url: string };

/** The keys cannot be had: this says nothing of the token. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

interface Source {
  readonly name: string;
  /** @throws whatever keeps the set from being had. */
  load(): Promise<unknown>;
  /** Milliseconds after which it is loaded again. */
  readonly maxAgeMs: number;
  /** Milliseconds between two loads, at least. */
  readonly cooldownMs: number;
}

type Jose = typeof import("jose");

/**
 * The keys of an issuer, kept, and loaded again when they are old or a token names one that is not among them. When they cannot be had
 * anew, those that are there stay good for a day.
 */
export class KeySet {
  readonly #source: Source;
  readonly #jose: Jose;
  #find: LocalJWKSet | undefined;
  #loadedMs = 0;
  #triedMs = Number.NEGATIVE_INFINITY;
  #pending: Promise<void> | undefined;
  #failure: unknown;

  /** @throws TypeError for a location that cannot be. */
  constructor(location: KeyLocation, jose: Jose) {
    this.#source = "url" in location ? urlSource(location.url) : fileSource(location.file);
    this.#jose = jose;
  }

  /** Loads them now. @throws KeysUnavailable */
  async load(): Promise<void> {
    await this.#refresh();
    this.#current();
  }

  /** The key that a token's header names. @throws KeysUnavailable, and jose's errors when there is none. */
  async find(header: JWSHeaderParameters | undefined, token: FlattenedJWSInput | undefined): Promise<CryptoKey> {
    if (this.#find === undefined || performance.now() - this.#loadedMs > this.#source.maxAgeMs) await this.#refresh();
    try {
      return await this.#current()(header, token);
    } catch (thrown) {
      if (!(thrown instanceof this.#jose.errors.JWKSNoMatchingKey) || !(await this.#refresh())) throw thrown;
      return this.#current()(header, token);
    }
  }

  #current(): LocalJWKSet {
    const fresh = performance.now() - this.#loadedMs < identityBounds.keySetStaleMs;
    if (this.#find !== undefined && fresh) return this.#find;
    const why = isNativeError(this.#failure) ? `: ${this.#failure.message}` : "";
    throw new KeysUnavailable(`the keys of ${this.#source.name} cannot be had${why}`, { cause: this.#failure });
  }

  /** Those who come meanwhile wait for the same load. @returns false when it is too soon for another one. */
  async #refresh(): Promise<boolean> {
    const now = performance.now();
    if (this.#pending === undefined) {
      if (now - this.#triedMs < this.#source.cooldownMs) return false;
      this.#triedMs = now;
      this.#pending = this.#load().finally(() => {
        this.#pending = undefined;
      });
    }
    await this.#pending;
    return true;
  }

  async #load(): Promise<void> {
    try {
      const set = (await this.#source.load()) as JSONWebKeySet; // createLocalJWKSet checks the shape
      this.#find = this.#jose.createLocalJWKSet(set);
      this.#loadedMs = performance.now();
      this.#failure = undefined;
    } catch (thrown) {
      this.#failure = thrown; // what was there before goes on
    }
  }
}

function fileSource(file: string): Source {
  return {
    name: file,
    maxAgeMs: identityBounds.keyFileMaxAgeMs,
    cooldownMs: identityBounds.keyFileCooldownMs,
    async load() {
      const { size } = await stat(file);
      if (size > identityBounds.maxKeySetBytes) throw tooLong();
      return JSON.parse(await readFile(file, "utf8"));
    },
  };
}

function urlSource(text: string): Source {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const safe = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopbackName(url.host));
  if (url === undefined || !safe)
    throw new TypeError(`"${text}" is no place for keys; write an https URL, or http on this machine`);
  if (url.username !== "" || url.password !== "") throw new TypeError("the URL of the keys must hold no user and password");
  return {
    name: url.href,
    maxAgeMs: identityBounds.keySetMaxAgeMs,
    cooldownMs: identityBounds.keySetCooldownMs,
    async load() {
      const response = await fetch(url, {
        redirect: "manual",
        signal: AbortSignal.timeout(identityBounds.keySetTimeoutMs),
        headers: { accept: "application/jwk-set+json, application/json" },
      });
      if (response.status === 200) return JSON.parse(await readBounded(response));
      await response.body?.cancel();
      throw new Error(`the key server answered with status ${response.status}`);
    },
  };
}

async function readBounded(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body ?? []) {
    bytes += piece.length;
    if (bytes > identityBounds.maxKeySetBytes) throw tooLong();
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function tooLong(): Error {
  return new Error(`the key set is longer than ${identityBounds.maxKeySetBytes} bytes`);
}
