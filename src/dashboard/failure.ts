import { Code, ConnectError } from "../web/index.ts";
import { limits } from "./limits.ts";

/** One plain sentence for people: what failed, why, and gRPC's name of the code when there is one. */
export function failureSentence(what: string, thrown: unknown): string {
  const error = ConnectError.from(thrown);
  const code = thrown instanceof ConnectError ? ` (${codeName(error.code)})` : "";
  const reason = error.rawMessage.replace(/\s+/g, " ").trim().slice(0, limits.maxErrorChars).replace(/\.$/, "");
  return `${what}${reason === "" ? "" : `: ${reason}`}${code}.`;
}

/** Connect writes `Canceled` and `NotFound`; gRPC, and so the contract, CANCELLED and NOT_FOUND. */
function codeName(code: Code): string {
  if (code === Code.Canceled) return "CANCELLED";
  return (Code[code] ?? "Unknown").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
