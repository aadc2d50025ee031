import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createCertificate } from "../support/certificate.ts";
import { listen, type Process, root, startProgram } from "../support/process.ts";
import { findTool, type Tool } from "../support/tools.ts";

/** The addresses of three replicas, as `host:port`. */
export type Addresses = readonly [string, string, string];

/** A balancer at work. */
export interface RunningBalancer {
  readonly url: string;
  /** `host:port`. */
  readonly address: string;
  /** Its certificate, PEM. */
  readonly ca: string;
  /** The same, as a file. */
  readonly caFile: string;
  stop(): Promise<void>;
}

/** A program of others that stands before our servers, with its configuration of `deploy/`. */
export interface Balancer {
  readonly tool: Tool;
  /** @param path where the program is. */
  start(path: string, replicas: Addresses): Promise<RunningBalancer>;
}

/** What the tests have in place of the addresses and files that each reader of `deploy/` puts in. */
interface Place {
  readonly folder: string;
  readonly port: string;
  readonly replicas: Addresses;
}

interface Program {
  readonly tool: Tool;
  /** Its configuration, below `deploy/`. */
  readonly config: string;
  /** What stands in it, each exactly once, and what the tests put there. */
  readonly substitutions: (place: Place) => Record<string, string>;
  readonly args: (place: Place, config: string) => readonly string[];
}

const replicaNames = ["agents-1.internal:50051", "agents-2.internal:50051", "agents-3.internal:50051"] as const;
const replicasOf = ({ replicas }: Place) =>
  Object.fromEntries(replicaNames.map((name, index) => [name, replicas[index] ?? ""]));

const nginx = createBalancer({
  tool: findTool("nginx", "NGINX"),
  config: "nginx/nginx.conf",
  substitutions: (place) => ({
    ...replicasOf(place),
    "listen 8443 ssl http2": `listen 127.0.0.1:${place.port} ssl http2`,
    "/etc/nginx/tls/tls.crt": join(place.folder, "tls.crt"),
    "/etc/nginx/tls/tls.key": join(place.folder, "tls.key"),
  }),
  args: ({ folder }, config) => ["-c", config, "-g", `daemon off; pid ${join(folder, "nginx.pid")};`],
});

const haproxy = createBalancer({
  tool: findTool("haproxy", "HAPROXY"),
  config: "haproxy/haproxy.cfg",
  substitutions: (place) => ({
    ...replicasOf(place),
    "bind :8443": `bind 127.0.0.1:${place.port}`,
    "/etc/haproxy/tls.pem": join(place.folder, "tls.pem"),
  }),
  args: (_place, config) => ["-db", "-f", config],
});

export const balancers = [nginx, haproxy];

function createBalancer({ tool, config, substitutions, args }: Program): Balancer {
  return {
    tool,
    async start(path, replicas) {
      const folder = await mkdtemp(join(tmpdir(), `convoke-${tool.name}-`));
      const { cert, key } = await createCertificate();
      const caFile = join(folder, "tls.crt");
      await Promise.all([
        writeFile(caFile, cert),
        writeFile(join(folder, "tls.key"), key),
        writeFile(join(folder, "tls.pem"), `${cert}\n${key}`),
      ]);
      const place = { folder, port: await freePort(), replicas };
      const file = join(folder, config.slice(config.indexOf("/") + 1));
      await writeFile(file, substitute(await readFile(join(root, "deploy", config), "utf8"), substitutions(place)));
      const program = startProgram([path, ...args(place, file)]);
      await accepts(Number(place.port), program);
      const address = `127.0.0.1:${place.port}`;
      return {
        url: `https://${address}`,
        address,
        ca: cert,
        caFile,
        async stop() {
          program.child.kill("SIGTERM"); // nginx ends its workers, which a SIGKILL would leave behind
          await program.exit;
          await rm(folder, { recursive: true });
        },
      };
    },
  };
}

/** @throws Error when one of the texts does not stand there exactly once: then the configuration is no longer what was tested. */
function substitute(config: string, substitutions: Record<string, string>): string {
  let substituted = config;
  for (const [text, replacement] of Object.entries(substitutions)) {
    const pieces = substituted.split(text);
    if (pieces.length !== 2) throw new Error(`"${text}" stands ${pieces.length - 1} times in the configuration`);
    substituted = pieces.join(replacement);
  }
  return substituted;
}

/** Waits until the port takes connections. @throws Error with the program's own words when it ends instead. */
async function accepts(port: number, program: Process): Promise<void> {
  const ended = program.exit.then(({ stdout, stderr }) => Promise.reject(new Error(`it ended: ${stdout}${stderr}`)));
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    try {
      await Promise.race([once(socket, "connect"), ended]);
      return;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "ECONNREFUSED") throw thrown; // a socket's error, or the one above
      await pause(10); // it has not come to that yet
    } finally {
      socket.destroy();
    }
  }
}

/** A port that was free a moment ago: neither program picks one by itself. */
async function freePort(): Promise<string> {
  const server = createServer();
  const address = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return address.slice(address.indexOf(":") + 1);
}
