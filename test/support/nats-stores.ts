import { createNatsStore, type NatsStore, type NatsStoreOptions } from "../../src/store/index.ts";
import { type NatsCluster, startNats } from "./nats-cluster.ts";

/** The cluster of one test file, and stores on it. */
export interface NatsStores {
  /** It runs from the first test on. */
  readonly cluster: NatsCluster;
  /** A prefix that no test has used. */
  prefix(): string;
  /** A store, of a prefix of its own when none is given, which is closed and whose streams are gone after the test. */
  open(options?: Partial<NatsStoreOptions>): Promise<NatsStore>;
}

/** Starts a cluster of three for the tests around, and stops it after them. */
export function useNatsStores(program: string): NatsStores {
  let cluster: NatsCluster | undefined;
  let count = 0;
  const stores: { store: NatsStore; prefix: string }[] = [];
  const running = () => {
    if (cluster === undefined) throw new Error("the cluster runs within tests alone");
    return cluster;
  };
  const prefix = () => `t${++count}`;
  beforeAll(async () => {
    cluster = await startNats(program);
  });
  afterEach(async () => {
    const ended = stores.splice(0);
    await Promise.all(ended.map(({ store }) => store.close()));
    for (const each of new Set(ended.map(({ prefix }) => prefix))) await running().deleteStreams(`${each}-`);
  });
  afterAll(() => cluster?.stop());
  return {
    get cluster() {
      return running();
    },
    prefix,
    async open(options = {}) {
      const chosen = options.prefix ?? prefix();
      const store = await createNatsStore({ servers: running().servers, ...options, prefix: chosen });
      stores.push({ store, prefix: chosen });
      return store;
    },
  };
}
