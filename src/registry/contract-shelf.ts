import { create } from "@bufbuild/protobuf";
import { type Contract, ContractSchema } from "../contract/index.ts";
import { failedPrecondition, invalidArgument, registryBounds, resourceExhausted } from "../core/index.ts";
import type { Store } from "../store/index.ts";
import { readContract } from "./contract.ts";

const contractsPrefix = "registry/contract/";

/**
 * The contracts that registrations name, each once by its hash: a log of the store holds its bytes. At most `registryBounds.maxContracts`;
 * those that nobody serves leave first.
 */
export class ContractShelf {
  readonly #store: Store;
  readonly #isServed: (sha256: string) => boolean;
  /** Those that are known to be there, the oldest first. */
  readonly #known = new Map<string, Contract>();

  /** @param isServed true for a contract that a registration that lives names. */
  constructor(store: Store, isServed: (sha256: string) => boolean) {
    this.#store = store;
    this.#isServed = isServed;
  }

  /** Undefined for a contract that was never brought, or has left. */
  async find(sha256: string): Promise<Contract | undefined> {
    const known = this.#known.get(sha256);
    if (known !== undefined) return known;
    const log = contractsPrefix + sha256;
    const [info] = await this.#store.logs(log, { limit: 1 });
    if (info?.name !== log) return undefined;
    try {
      for await (const descriptorSet of this.#store.read(log, info.length - 1))
        return this.#remember({ sha256, descriptorSet });
    } catch {
      return undefined; // it was trimmed: it has left
    }
    return undefined;
  }

  /**
   * Takes in what a registrant brings for the contract that it names.
   *
   * @throws ConnectError INVALID_ARGUMENT when it is another one or none at all; FAILED_PRECONDITION (type CONTRACT) when it is not known
   *   and was not brought; RESOURCE_EXHAUSTED when there are too many.
   */
  async take(sha256: string, brought: Contract | undefined): Promise<void> {
    if (sha256 === "" || (await this.find(sha256)) !== undefined) return;
    if (brought === undefined || brought.descriptorSet.byteLength === 0) {
      const description = `contract ${sha256} is not known here; register with its descriptor set`;
      throw failedPrecondition({ type: "CONTRACT", subject: sha256, description });
    }
    if (brought.sha256 !== sha256) {
      throw invalidArgument([{ field: "contract.sha256", description: "is not registration.contract_sha256" }]);
    }
    readContract(brought);
    await this.#makeRoom();
    await this.#store.append(contractsPrefix + sha256, [brought.descriptorSet]);
    this.#remember(brought);
  }

  async #makeRoom(): Promise<void> {
    if (this.#known.size < registryBounds.maxContracts) return;
    for (const sha256 of this.#known.keys()) {
      if (this.#isServed(sha256)) continue;
      this.#known.delete(sha256);
      return this.#store.trim(contractsPrefix + sha256, Number.MAX_SAFE_INTEGER);
    }
    const description = `${registryBounds.maxContracts} contracts are served, the most allowed`;
    throw resourceExhausted({ subject: "contracts", description });
  }

  #remember({ sha256, descriptorSet }: Pick<Contract, "sha256" | "descriptorSet">): Contract {
    const contract = create(ContractSchema, { sha256, descriptorSet });
    this.#known.set(sha256, contract);
    return contract;
  }
}
