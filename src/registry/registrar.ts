import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import {
  type Contract,
  type Lease,
  type Load,
  PreconditionFailureSchema,
  type Registration,
  RegistrationSchema,
} from "../contract/index.ts";
import { createBackoff, pause, registryBounds } from "../core/index.ts";
import { callOptions, type RegistryLink } from "./link.ts";

export interface RegistrarOptions {
  readonly link: RegistryLink;
  /** What is published; its contract's hash is filled in. */
  readonly registration: Omit<Registration, "$typeName" | "contractSha256">;
  /** What the endpoints serve. Default: it is not told. */
  readonly contract?: Contract;
  /** How long the registration outlives this process, in milliseconds: 1,000 to 300,000. Default 30,000. */
  readonly ttlMs?: number;
  /** How busy the agent is; asked with each renewal. Default: it is not told. */
  readonly load?: () => Omit<Load, "$typeName" | "$unknown">;
  readonly log: Logger;
}

/** Keeps one agent registered. */
export interface Registrar {
  /** The lease that it holds now, as far as it knows. */
  readonly lease: Lease | undefined;
  /** Ends the registration, and waits for that as long as one call may take. */
  close(): Promise<void>;
}

/** Renewals come after half of the time, more or less by this share, so that registrants do not keep in step. */
const jitter = 0.1;

/**
 * Registers an agent and renews its lease until it is closed. Whatever goes wrong, it tries again: at once when the registry does not know the
 * lease (any more), as after its restart, and within a third of the lease's time when it is away, so that the agent is found soon after it has come
 * back. A later registration in its place is left alone: whoever slept over the end of its lease registers again when its successor's has ended.
 * Only a registration that is refused as it is waits for longer. Keeps no process alive.
 */
export function createRegistrar(options: RegistrarOptions): Registrar {
  const registrar = new AgentRegistrar(options);
  return {
    get lease() {
      return registrar.lease;
    },
    close: () => registrar.close(),
  };
}

class AgentRegistrar {
  lease: Lease | undefined;
  readonly #options: RegistrarOptions;
  readonly #registration: Registration;
  readonly #ttlMs: number;
  readonly #closed = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? registryBounds.ttlMs;
    const contractSha256 = options.contract?.sha256 ?? "";
    this.#registration = create(RegistrationSchema, { ...options.registration, contractSha256 });
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
    const { lease } = this;
    this.lease = undefined;
    if (lease === undefined) return;
    const { link } = this.#options;
    try {
      await link.call((client) => client.deregister({ leaseId: lease.id, revision: lease.revision }, callOptions()));
    } catch (err) {
      this.#options.log.debug({ err, agent: this.#name }, "the registration could not be ended; it ends in its time");
    }
  }

  get #name(): string {
    return this.#registration.agent?.name ?? "";
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    const away = createBackoff({ maxMs: this.#ttlMs / 3 });
    const refused = createBackoff();
    while (!signal.aborted) {
      try {
        const ttlMs = await this.#hold();
        away.reset();
        refused.reset();
        await pause((ttlMs / 2) * (1 + jitter * (2 * Math.random() - 1)), signal);
      } catch (thrown) {
        if (signal.aborted) return;
        if (this.lease !== undefined && ConnectError.from(thrown).code === Code.NotFound) {
          this.lease = undefined;
          continue;
        }
        const waitMs = (isRefused(thrown) ? refused : away).nextMs();
        this.#options.log.warn({ err: thrown, agent: this.#name, waitMs: Math.round(waitMs) }, "not registered");
        await pause(waitMs, signal);
      }
    }
  }

  /** Renews the lease, or takes one. @returns how long it holds, in milliseconds. */
  async #hold(): Promise<number> {
    const { link, log } = this.#options;
    const load = this.#options.load?.();
    const { lease } = this;
    if (lease !== undefined) {
      const request = { leaseId: lease.id, revision: lease.revision, ...(load && { load }) };
      await link.call((client) => client.renew(request, callOptions(this.#closed.signal)));
    } else {
      this.lease = await this.#register(load);
      log.info({ agent: this.#name, lease: this.lease.id, revision: String(this.lease.revision) }, "registered");
    }
    return durationMs(this.lease?.ttl ?? durationFromMs(this.#ttlMs));
  }

  /** Goes on when the registrar is closed meanwhile: what has been registered can then be ended. */
  async #register(load: RegistrarLoad | undefined): Promise<Lease> {
    const { link, contract } = this.#options;
    const options = callOptions();
    const request = { registration: this.#registration, ttl: durationFromMs(this.#ttlMs), ...(load && { load }) };
    const { lease } = await link.call(async (client) => {
      try {
        return await client.register(request, options);
      } catch (thrown) {
        if (contract === undefined || !isPrecondition(thrown, "CONTRACT")) throw thrown;
        return await client.register({ ...request, contract }, options);
      }
    });
    if (lease === undefined) throw new ConnectError("the registry gave no lease", Code.Internal);
    return lease;
  }
}

type RegistrarLoad = Omit<Load, "$typeName" | "$unknown">;

/** Asking again will not help soon. */
function isRefused(thrown: unknown): boolean {
  const { code } = ConnectError.from(thrown);
  return code === Code.InvalidArgument || code === Code.PermissionDenied || code === Code.Unauthenticated;
}

function isPrecondition(thrown: unknown, type: string): boolean {
  if (!(thrown instanceof ConnectError) || thrown.code !== Code.FailedPrecondition) return false;
  return thrown.findDetails(PreconditionFailureSchema).some(({ violations }) => violations.some((each) => each.type === type));
}
