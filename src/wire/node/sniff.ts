import type { Socket } from "node:net";
import { preface } from "../http2/frames.ts";

/**
 * Tells which HTTP version a new connection speaks by its first bytes, and puts them back.
 *
 * However short the reads: bytes are collected until they differ from the HTTP/2 preface or are all of it. A peer that stays
 * silent is the caller's to time out. `decided` is not called when the connection ends first.
 */
export function sniff(socket: Socket, decided: (version: "1.1" | "2") => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const onReadable = () => {
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    }
    const length = Math.min(seen.length, preface.length);
    if (length === 0) return;
    const matches = seen.compare(preface, 0, length, 0, length) === 0;
    if (matches && length < preface.length) return;
    socket.off("readable", onReadable);
    socket.unshift(seen);
    decided(matches ? "2" : "1.1");
  };
  socket.on("readable", onReadable);
}
