import { ConnectError } from "@connectrpc/connect";

/** What a call failed with. @throws Error when it did not. */
export async function failure(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (thrown: unknown) => ConnectError.from(thrown),
  );
}
