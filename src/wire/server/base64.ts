import { Code, ConnectError } from "@connectrpc/connect";

/** Decodes base64 that comes in pieces of any length, padded wherever its sender liked (PROTOCOL-WEB.md, "grpc-web-text"). */
export class Base64Reader {
  #rest = "";

  /** @throws ConnectError INVALID_ARGUMENT for what is no base64. */
  push(bytes: Uint8Array): Buffer {
    const text = this.#rest + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    const whole = text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    return decode(text.slice(0, whole));
  }

  /** @throws ConnectError INVALID_ARGUMENT when the last group is not whole. */
  end(): void {
    if (this.#rest !== "") throw notBase64();
  }
}

function decode(text: string): Buffer {
  if (!/^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)*$/.test(text)) throw notBase64();
  const groups = text.match(/[^=]+=*/g) ?? []; // each ends where its sender padded
  return groups.length === 1 ? Buffer.from(text, "base64") : Buffer.concat(groups.map((group) => Buffer.from(group, "base64")));
}

function notBase64(): ConnectError {
  return new ConnectError("the body is not base64", Code.InvalidArgument);
}
