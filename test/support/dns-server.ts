import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";

/** A record of the zone. */
export type DnsRecord =
  | { readonly type: "A"; readonly address: string }
  | { readonly type: "AAAA"; readonly address: readonly number[] }
  | {
      readonly type: "SRV";
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
    };

/** A name server (RFC 1035) on a free UDP port. */
export interface DnsServer {
  /** For `Resolver.setServers`. */
  readonly address: string;
  /** Records by name, to be changed at any time. A name that is not there does not exist. */
  readonly zone: Map<string, DnsRecord[]>;
  /** Answers SERVFAIL to everything while true. */
  failing: boolean;
  /** Settles with the next question. */
  asked(): Promise<void>;
}

const typeNumbers = { A: 1, AAAA: 28, SRV: 33 } as const;
const sockets = new Set<Socket>();

afterAll(() => {
  for (const socket of sockets) socket.close();
});

export async function startDns(): Promise<DnsServer> {
  const socket = createSocket("udp4");
  sockets.add(socket);
  let asked = () => {};
  socket.on("message", (query: Buffer, from: RemoteInfo) => {
    socket.send(answerTo(query, server), from.port, from.address);
    asked();
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const server: DnsServer = {
    address: `127.0.0.1:${socket.address().port}`,
    zone: new Map(),
    failing: false,
    asked: () =>
      new Promise((resolve) => {
        asked = resolve;
      }),
  };
  return server;
}

const headBytes = 12;

function answerTo(query: Buffer, { zone, failing }: DnsServer): Buffer {
  let at = headBytes;
  const labels: string[] = [];
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(headBytes, at + 5);
  const records = zone.get(labels.join(".").toLowerCase());
  const answers = failing ? [] : (records ?? []).filter((record) => typeNumbers[record.type] === type);
  const head = Buffer.alloc(headBytes);
  query.copy(head, 0, 0, 2);
  const code = failing ? 2 : records === undefined ? 3 : 0; // SERVFAIL, NXDOMAIN, NOERROR
  head.writeUInt16BE(0x8180 | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  return Buffer.concat([head, question, ...answers.map(encode)]);
}

function encode(record: DnsRecord): Buffer {
  const data = dataOf(record);
  const head = Buffer.alloc(headBytes);
  head.writeUInt16BE(0xc000 | headBytes, 0); // the question's name
  head.writeUInt16BE(typeNumbers[record.type], 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function dataOf(record: DnsRecord): Buffer {
  if (record.type === "A") return Buffer.from(record.address.split(".").map(Number));
  if (record.type === "AAAA") return Buffer.from(record.address);
  const head = Buffer.alloc(6);
  head.writeUInt16BE(record.priority, 0);
  head.writeUInt16BE(record.weight, 2);
  head.writeUInt16BE(record.port, 4);
  const labels = record.target.split(".").filter((label) => label !== "");
  return Buffer.concat([head, ...labels.flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]), Buffer.of(0)]);
}
