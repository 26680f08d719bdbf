import { chmodSync } from "node:fs";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { type ConnectionInjector, type Server, ServerCredentials } from "@grpc/grpc-js";
import { StartError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import type { HttpDoor } from "./http.ts";
import type { Log } from "./log.ts";
import { sniff } from "./sniff.ts";
import { clearStaleSocket } from "./unix-socket.ts";

/** Where to listen. Port 0: any free one. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

export interface PortOptions {
  readonly grpc: Server;
  readonly http: HttpDoor;
  readonly limits: Pick<Limits, "silentSocketMs" | "connections">;
  readonly log: Log;
}

/** After this time without a byte the kernel asks whether the peer is still there. */
const KEEP_ALIVE_DELAY_MS = 30_000;

/**
 * Listens on a TCP port, a unix socket, or both, and hands every connection to the front door it
 * speaks to by its first bytes: HTTP/2 to gRPC, anything else to HTTP/1.1.
 */
export class Port {
  readonly #options: PortOptions;
  readonly #injector: ConnectionInjector;
  readonly #listeners: NetServer[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(options: PortOptions) {
    this.#options = options;
    this.#injector = options.grpc.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Listens on a TCP address and gives the one it got. Throws StartError. */
  async listenTcp({ host, port }: TcpAddress): Promise<TcpAddress> {
    const listener = await this.#listen(
      (server) => server.listen({ host, port }),
      `${host}:${port}`,
    );
    const address = listener.address();
    return typeof address === "object" && address !== null
      ? { host: address.address, port: address.port }
      : { host, port };
  }

  /** Listens on a unix socket that only its owner can use. Throws StartError. */
  async listenUnix(path: string): Promise<void> {
    await clearStaleSocket(path);
    await this.#listen((server) => {
      server.listen(path);
      // listen() has bound the socket by now, and nothing is accepted before this turn ends.
      chmodIfBound(path);
    }, path);
  }

  /** Takes no more connections. Those that are open stay. */
  stopAccepting(): void {
    for (const listener of this.#listeners.splice(0)) {
      listener.close();
    }
  }

  /** Closes connections as soon as they are idle; cuts off the others after `flushMs`. */
  async close(flushMs: number): Promise<void> {
    this.stopAccepting();
    this.#injector.destroy();
    this.#options.http.closeIdle();
    const closed = [...this.#sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
    );
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) {
        socket.destroy();
      }
    }, flushMs);
    await Promise.all(closed);
    clearTimeout(timer);
  }

  #listen(start: (server: NetServer) => void, where: string): Promise<NetServer> {
    const { log } = this.#options;
    const server = createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
    });
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) => reject(startError(error, where));
      server.once("error", onError);
      server.once("listening", () => {
        server.off("error", onError);
        server.on("error", (error) => log.error({ err: error, where }, "cannot take connections"));
        server.on("connection", (socket) => this.#accept(socket));
        this.#listeners.push(server);
        resolve(server);
      });
      start(server);
    });
  }

  #accept(socket: Socket): void {
    const { limits, http, log } = this.#options;
    // Whoever owns the socket hears of errors by its close.
    socket.on("error", () => {});
    if (this.#sockets.size >= limits.connections) {
      log.warn({ connections: limits.connections }, "a connection was refused: all are in use");
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    sniff(socket, limits.silentSocketMs, (protocol) => {
      if (protocol === "http2") {
        this.#injector.injectConnection(socket);
      } else {
        http.accept(socket);
      }
    });
  }
}

function chmodIfBound(path: string): void {
  try {
    chmodSync(path, 0o600);
  } catch (error) {
    // Not bound: the server reports why.
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) {
      throw new StartError(`cannot protect the socket ${path}`, error);
    }
  }
}

function startError(error: NodeJS.ErrnoException, where: string): StartError {
  switch (error.code) {
    case "EADDRINUSE":
      return new StartError(
        `${where} is in use; stop what listens there, or choose another`,
        error,
      );
    case "EACCES":
    case "EPERM":
      return new StartError(`no permission to listen on ${where}; choose another`, error);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new StartError(`${where} is not an address of this machine; choose another`, error);
    default:
      return new StartError(`cannot listen on ${where}: ${error.message}`, error);
  }
}
