import { once } from "node:events";
import http2 from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";
import { HpackEncoder } from "../src/wire/http2/hpack-encoder.ts";
import { createDecoder, encode, pairs } from "./support/hpack.ts";

/** Frames of HTTP/2 (RFC 9113, section 6) that are needed here. */
const [headersType, settingsType] = [1, 4];
const [endStream, endHeaders, ack] = [1, 4, 1];
const tableSizeSetting = 1;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

function frame({ type, flags, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Calls back for each frame after the connection's preface. */
function onFrames(socket: Socket, found: (frame: Frame) => void): void {
  let held = Buffer.alloc(0);
  let at = http2Preface.length;
  socket.on("data", (bytes: Buffer) => {
    held = Buffer.concat([held, bytes]);
    while (held.length >= at + 9 && held.length >= at + 9 + held.readUIntBE(at, 3)) {
      const end = at + 9 + held.readUIntBE(at, 3);
      const [type = 0, flags = 0] = held.subarray(at + 3, at + 5);
      found({ type, flags, stream: held.readUInt32BE(at + 5), payload: held.subarray(at + 9, end) });
      at = end;
    }
  });
}

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

type Answer = (request: readonly string[]) => readonly string[];

/** Speaks just enough HTTP/2, with our HPACK on both sides, to answer a client's requests by their header lists. */
async function serve(
  answer: Answer,
  work: (client: http2.ClientHttp2Session) => Promise<void>,
  settings = {},
): Promise<number> {
  let blockBytes = 0;
  const server = net.createServer((socket) => {
    const [encoder, decoder] = [new HpackEncoder(), createDecoder()];
    socket.on("error", () => socket.destroy());
    socket.write(frame({ type: settingsType, flags: 0, stream: 0, payload: Buffer.alloc(0) }));
    onFrames(socket, ({ type, flags, stream, payload }) => {
      if (type === settingsType && (flags & ack) === 0) {
        for (let at = 0; at < payload.length; at += 6) {
          if (payload.readUInt16BE(at) === tableSizeSetting) encoder.setPeerTableBytes(payload.readUInt32BE(at + 2));
        }
        socket.write(frame({ type: settingsType, flags: ack, stream: 0, payload: Buffer.alloc(0) }));
      }
      if (type !== headersType) return;
      // Node sends a priority of five bytes before some blocks.
      const block = decoder.decode(payload, (flags & 0x20) === 0 ? 0 : 5, payload.length);
      const response = encode(encoder, answer(block.list));
      blockBytes += response.length;
      socket.write(frame({ type: headersType, flags: endStream | endHeaders, stream, payload: response }));
    });
  });
  await once(server.listen(0), "listening");
  const { port } = server.address() as AddressInfo; // it listens on a port
  const client = http2.connect(`http://localhost:${port}`, { settings });
  try {
    await once(client, "connect");
    await work(client);
  } finally {
    client.destroy();
    server.close();
  }
  return blockBytes;
}

/** Sends a request without a body and gives the response's head. */
async function ask(client: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders): Promise<http2.IncomingHttpHeaders> {
  const request = client.request(headers, { endStream: true });
  const [head] = await once(request, "response");
  request.resume();
  await once(request, "close");
  return head;
}

/** What Node sends and takes within a value: printable ASCII, and all above it. */
const allowed = Array.from({ length: 256 }, (_, code) => code).filter((code) => code > 31 && code !== 127);
const every = `a${String.fromCharCode(...allowed)}`;

test("Node's requests are read as they were sent: static and dynamic table, Huffman with every byte that Node sends", async () => {
  const seen: (readonly string[])[] = [];
  const record: Answer = (list) => {
    seen.push(list);
    return [":status", "200"];
  };
  const sent = (index: number) => ({
    ":method": "POST",
    ":path": `/some.Service/Method${index % 3}`,
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-timeout": `${index}m`,
    "x-long": `${index}`.repeat(100),
    // Zeros are short in Huffman, so that Node uses it though other bytes are long.
    "x-every": `${every}${"0".repeat(700)}z`,
    authorization: `Bearer ${index}`,
  });
  await serve(record, async (client) => {
    for (let index = 0; index < 40; index++) await ask(client, sent(index));
  });
  expect(seen).toHaveLength(40);
  seen.forEach((list, index) => {
    const { ":scheme": scheme, ":authority": authority, ...rest } = toObject(list);
    expect([scheme, authority?.startsWith("localhost:")]).toEqual(["http", true]);
    expect(rest).toEqual(sent(index));
  });
});

function toObject(list: readonly string[]): Record<string, string | undefined> {
  const object: Record<string, string | undefined> = {};
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index] ?? "";
    expect(object).not.toHaveProperty([name]);
    object[name] = list[index + 1];
  }
  return object;
}

/** Answers of every form that the encoder has: indexed, inserted, changing, never indexed, long, and frozen. */
const frozen = Object.freeze(pairs(":status 200", "content-type application/grpc", "x-fixed yes"));

function answerOf(index: number): readonly string[] {
  if (index % 3 === 0) return frozen;
  return [
    ...[":status", index % 2 === 0 ? "200" : "404", "content-type", "application/grpc+proto", "x-every", every],
    ...[
      "x-request-id",
      `${index}`,
      "authorization",
      "secret",
      "x-long",
      `${index % 4}`.repeat(1500),
      "grpc-status",
      `${index % 17}`,
    ],
  ];
}

test.each([
  ["as it is", {}],
  ["that has no table", { headerTableSize: 0 }],
  ["with a small table", { headerTableSize: 120 }],
  ["with a large table", { headerTableSize: 65_536 }],
])("Node reads what our encoder writes, a Node %s", async (_, settings) => {
  let answered = 0;
  await serve(
    () => answerOf(answered++),
    async (client) => {
      for (let index = 0; index < 60; index++) {
        const head = await ask(client, { ":path": "/" });
        expect(Object.entries(head).flatMap(([name, value]) => [name, `${value}`])).toEqual(answerOf(index));
      }
    },
    settings,
  );
});

test("Node follows when its own settings change the size of the table between blocks", async () => {
  let answered = 0;
  await serve(
    () => answerOf(answered++),
    async (client) => {
      for (const headerTableSize of [100, 4096, 0, 300]) {
        client.settings({ headerTableSize });
        await once(client, "localSettings");
        for (let count = 0; count < 10; count++) {
          const expected = answerOf(answered);
          const head = await ask(client, { ":path": "/" });
          expect(Object.entries(head).flatMap(([name, value]) => [name, `${value}`])).toEqual(expected);
        }
      }
    },
  );
});

test("lists that repeat take a byte or so for each field", async () => {
  const blockBytes = await serve(
    () => frozen,
    async (client) => {
      for (let count = 0; count < 50; count++) await ask(client, { ":path": "/" });
    },
  );
  expect(blockBytes).toBeLessThan(50 * frozen.length);
});
