import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { defaultLimits } from "../../core/index.ts";
import type {
  ClientClosed,
  ClientConnection,
  ClientExchange,
  ClientRequest,
  ClientSession,
  ResponseSink,
  SessionEvents,
} from "../exchange.ts";
import { ClientConnection as Http2Connection } from "../http2/client-connection.ts";
import { connectOptions } from "./client-tls.ts";
import { feed, SocketPipe } from "./http2-socket.ts";
import { type ConnectionOptions, keepAlive } from "./keep-alive.ts";

/** A client's exchanges over HTTP/2: one connection at a time, opened with the first request and again when it has ended. */
export function createHttp2Connection(options: ConnectionOptions): ClientConnection {
  let current: Http2Connection | undefined;
  let closed = false;
  return {
    open(request, sink) {
      if (closed) return failed(sink, { how: "closed" });
      try {
        if (current?.usable !== true) current = connect(options).connection;
      } catch (cause) {
        return failed(sink, { how: "unreachable", cause }); // no certificate to connect with
      }
      return begin(current, request, sink);
    },
    close() {
      closed = true;
      current?.close();
    },
  };
}

/** Opens one connection at once. Its owner decides whether it keeps the process alive; an idle one does not. */
export function openHttp2Session(options: ConnectionOptions, events: SessionEvents): ClientSession {
  let opened: ReturnType<typeof connect>;
  try {
    opened = connect(options, events);
  } catch (cause) {
    queueMicrotask(() => events.gone(cause)); // no certificate to connect with
    return { free: false, open: (_request, sink) => failed(sink, { how: "unsent" }), hold: () => {}, close: () => {} };
  }
  const { connection, socket } = opened;
  return {
    get free() {
      return connection.free;
    },
    open: (request, sink) => begin(connection, request, sink),
    hold: (alive) => void (alive ? socket.ref() : socket.unref()),
    close: () => connection.close(),
  };
}

function begin(connection: Http2Connection, request: ClientRequest, sink: ResponseSink): ClientExchange {
  try {
    return connection.request(request, sink);
  } catch (cause) {
    return failed(sink, { how: "unreachable", cause }); // the fields are none that HTTP/2 carries
  }
}

/** Nothing that the connection meets throws outside a call. Without `events` it keeps the process alive while calls are open. */
function connect(options: ConnectionOptions, events?: SessionEvents): { connection: Http2Connection; socket: Socket } {
  const { scheme, authority, connectTimeoutMs } = options;
  const socket = openSocket(options);
  const late = () => socket.destroy(new ConnectTimeout(connectTimeoutMs));
  const timer = setTimeout(late, connectTimeoutMs).unref(); // without a call nobody waits for the connection
  socket.unref();
  let ready = false;
  const connection = new Http2Connection(new SocketPipe(socket), {
    ...options,
    scheme,
    authority,
    maxHeaderPairs: defaultLimits.maxHeaderPairs,
    maxHeldBytes: defaultLimits.maxSessionMemoryMib * mebibyte,
    streamResetBurst: Number.POSITIVE_INFINITY, // a server resets what the client has asked for
    streamResetsPerSecond: 0,
    // The server's first frame (RFC 9113, section 3.4): a port that accepts and then is silent is no connection.
    onReady: () => {
      ready = true;
      clearTimeout(timer);
      events?.ready();
    },
    onBusy: (busy) => void (events === undefined && (busy ? socket.ref() : socket.unref())),
    onGone: (cause) => events?.gone(cause),
  });
  socket.on(scheme === "https" ? "secureConnect" : "connect", () => connection.connected());
  socket.on("close", () => clearTimeout(timer));
  feed(connection, socket, () => (ready ? undefined : new ClosedEarly()));
  keepAlive(connection, socket, options);
  return { connection, socket };
}

const mebibyte = 1024 * 1024;

function openSocket({ origin, scheme, tls }: ConnectionOptions): Socket {
  const { hostname, port } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, "");
  if (scheme === "http") return connectTcp({ host, port: Number(port === "" ? 80 : port), noDelay: true });
  const socket = connectTls({
    ...connectOptions(tls),
    host,
    port: Number(port === "" ? 443 : port),
    ALPNProtocols: ["h2"],
    ...(!/^[\d.]+$|:/.test(host) && { servername: host }), // names alone are sent (RFC 6066, section 3)
  });
  socket.setNoDelay(true);
  socket.on("secureConnect", () => refuseOtherProtocols(socket));
  return socket;
}

function refuseOtherProtocols(socket: TLSSocket): void {
  if (socket.alpnProtocol !== "h2") socket.destroy(new NoHttp2());
}

class NoHttp2 extends Error {
  readonly code = "ERR_TLS_ALPN";

  constructor() {
    super("the server does not speak HTTP/2");
  }
}

/** A server over TLS 1.3 refuses a certificate when the client takes the handshake for over; Node's does so without an alert. */
class ClosedEarly extends Error {
  readonly code = "ERR_CLOSED_EARLY";

  constructor() {
    super("the server closed the connection before its first frame");
  }
}

class ConnectTimeout extends Error {
  readonly code = "ETIMEDOUT";

  constructor(timeoutMs: number) {
    super(`no connection within ${timeoutMs} ms`);
  }
}

/** An exchange that was over before it began. Its sink hears of it later, as of any other. */
export function failed(sink: ResponseSink, closed: ClientClosed): ClientExchange {
  queueMicrotask(() => sink.closed(closed));
  return { write: () => true, end: () => {}, pause: () => {}, resume: () => {}, reset: () => {} };
}
