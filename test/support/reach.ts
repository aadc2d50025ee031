import { type Client, Code, ConnectError, createClient, createContextValues } from "@connectrpc/connect";
import {
  type BalancedTransportOptions,
  type CallPolicy,
  callPolicy,
  createBalancedTransport,
  type Endpoint,
  type EndpointFeed,
  type EndpointListener,
} from "../../src/index.ts";
import type { ClosableTransport } from "../../src/wire/index.ts";
import { Kinds } from "./kinds.ts";
import { startKinds, type WireServer } from "./wire.ts";

const transports = new Set<ClosableTransport>();

afterAll(() => {
  for (const transport of transports) transport.close();
});

/** A client of {@link Kinds} that balances, closed after the test file. */
export function balanced(options: BalancedTransportOptions): Client<typeof Kinds> {
  return createClient(Kinds, openBalanced(options));
}

export function openBalanced(options: BalancedTransportOptions): ClosableTransport {
  const transport = createBalancedTransport(options);
  transports.add(transport);
  return transport;
}

/** Options of one call. */
export const saying = (policy: CallPolicy) => ({ contextValues: createContextValues().set(callPolicy, policy) });

/** A server that answers every unary call with its name, and counts them. */
export async function startNamed(name: string, answer: (call: number) => string | Promise<string> = () => name) {
  let calls = 0;
  const server = await startKinds({ unary: async () => ({ value: await answer(calls++) }) });
  return { ...server, calls: () => calls };
}

export const urlsOf = (servers: readonly Pick<WireServer, "url">[]) => servers.map(({ url }) => url);

/** A source that tells what the test says. */
export function createSource(...endpoints: readonly Endpoint[]) {
  const listeners = new Set<EndpointListener>();
  let last: readonly Endpoint[] | undefined = endpoints.length > 0 ? endpoints : undefined;
  const source: EndpointFeed = {
    watch(listener) {
      listeners.add(listener);
      if (last !== undefined) listener.changed(last);
      return () => listeners.delete(listener);
    },
  };
  return {
    source,
    watched: () => listeners.size,
    change(...changed: readonly Endpoint[]) {
      last = changed;
      for (const listener of listeners) listener.changed(changed);
    },
    fail(reason: unknown) {
      for (const listener of listeners) listener.failed(reason);
    },
  };
}

export async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (thrown: unknown) => (thrown instanceof ConnectError ? thrown : Promise.reject(thrown)),
  );
}

export async function codeOf(call: Promise<unknown>): Promise<string> {
  return Code[(await failureOf(call)).code];
}

export async function collect(messages: AsyncIterable<{ value: string }>): Promise<string[]> {
  const values: string[] = [];
  for await (const { value } of messages) values.push(value);
  return values;
}

/** Lets a test wait for something and make it happen. */
export function createEvent<T = void>() {
  let happen: (value: T) => void = () => {};
  const happened = new Promise<T>((resolve) => {
    happen = resolve;
  });
  return { happened, happen };
}

/** Calls again and again until the condition holds of what came. */
export async function callUntil<T>(call: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await call();
    if (holds(value)) return value;
    await new Promise(setImmediate);
  }
}
