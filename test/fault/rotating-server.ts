/**
 * A server under mutual TLS whose files are followed, as a process.
 *
 * Usage: rotating-server.ts FOLDER, started with an IPC channel: it says `{ port }`. Its agent says how long it has been asked, ten times a second, until
 * the content's number of pieces is said.
 */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { defineAgent, serve, watchCertificates } from "../../src/index.ts";

const [folder = ""] = process.argv.slice(2);
const tls = await watchCertificates({
  cert: join(folder, "server.crt"),
  key: join(folder, "server.key"),
  clientCa: join(folder, "trusted.crt"),
});

const agent = defineAgent({
  name: "counting",
  async *run({ content }) {
    for (let piece = 0; piece < Number(content); piece++) {
      if (piece > 0) await pause(100);
      yield `${piece} `;
    }
  },
});

const access = { trustDomains: ["example.org"] };
const server = await serve({ agents: [agent], port: 0, tls, access, signals: false, log: { level: "silent" } });
process.on("disconnect", () => process.exit()); // nobody needs it any more
process.send?.({ port: server.port });
