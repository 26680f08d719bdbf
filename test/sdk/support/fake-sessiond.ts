import { once } from "node:events";
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import type { DescMessage, DescMethod, DescService, Message } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { EventService, SessionService } from "@sessiond/contract";
import { type AppendStream, serveAppends } from "./fake-append-stream.ts";
import { FakeStore } from "./fake-store.ts";
import { serveWatch, type WatchStream } from "./fake-watch.ts";

type Handler = (request: Message) => Record<string, unknown>;

/** One call the server took. */
export interface Call {
  readonly method: string;
  readonly request: Message & { readonly requestId?: string; readonly cursor?: string };
}

/**
 * A server of the contract that keeps everything in arrays, for tests of the client.
 *
 * What it keeps outlives `kill()`, which resets all connections and stops listening as the end of
 * the process would. `restart()` listens again at the same address.
 */
export class FakeSessiond implements AsyncDisposable {
  store = new FakeStore();
  /** Calls in the order they came. */
  readonly calls: Call[] = [];
  /** Messages written to watches. */
  watchMessages = 0;
  /** Runs before a call takes effect; what it throws is the answer. */
  before: (call: Call) => void | Promise<void> = () => {};
  /** Runs after a call took effect and before its answer; what it throws is the answer. */
  after: (call: Call) => void | Promise<void> = () => {};
  /** Runs with every unary call as grpc-js has it. */
  onMetadata: (call: ServerUnaryCall<Message, Message>) => void = () => {};
  /** Runs when a client gives a watch up. */
  onWatchCancelled: () => void = () => {};
  readonly #sockets = new Set<Socket>();
  #path: string | undefined;
  #port = 0;
  #listener: NetServer | undefined;
  #grpc: Server | undefined;

  static async start(options: { path?: string } = {}): Promise<FakeSessiond> {
    const server = new FakeSessiond();
    server.#path = options.path;
    await server.restart();
    return server;
  }

  get address(): string {
    return this.#path === undefined ? `127.0.0.1:${this.#port}` : `unix:${this.#path}`;
  }

  async restart(): Promise<void> {
    const grpc = new Server();
    for (const service of [SessionService, EventService]) {
      grpc.addService(definitionOf(service), this.#handlersOf(service));
    }
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    const listener = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      injector.injectConnection(socket);
    });
    if (this.#path === undefined) listener.listen(this.#port, "127.0.0.1");
    else listener.listen(this.#path);
    await once(listener, "listening");
    if (this.#path === undefined) this.#port = (listener.address() as AddressInfo).port;
    this.#listener = listener;
    this.#grpc = grpc;
  }

  /** Resets every connection; new ones are taken. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /**
   * Ends the server. `how` is what its clients notice: connections that are reset, as by the end
   * of the process, or calls that are cancelled first, as by a server that gives up draining.
   */
  async kill(how: "reset" | "cancel" = "reset"): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#listener = undefined;
    const closed = once(listener, "close");
    listener.close();
    if (how === "cancel") this.#grpc?.forceShutdown();
    // A unix socket cannot be reset, only closed.
    for (const socket of this.#sockets) {
      if (how === "cancel") socket.end();
      else if (this.#path === undefined) socket.resetAndDestroy();
      else socket.destroy();
    }
    this.#grpc?.forceShutdown();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  /** Calls of one method. */
  callsOf(method: string): Call[] {
    return this.calls.filter((call) => call.method === method);
  }

  #handlersOf(service: DescService): Record<string, UntypedHandleCall> {
    const handlers = service.methods.map((method): [string, UntypedHandleCall] => [
      method.localName,
      this.#handlerOf(method),
    ]);
    return Object.fromEntries(handlers);
  }

  #handlerOf(method: DescMethod): UntypedHandleCall {
    switch (method.methodKind) {
      case "unary":
        return this.#unary(method);
      case "bidi_streaming":
        return (stream: AppendStream) => serveAppends(this.store, stream);
      default:
        return this.#watch(method);
    }
  }

  #unary(method: DescMethod): UntypedHandleCall {
    return async (call: ServerUnaryCall<Message, Message>, callback: sendUnaryData<Message>) => {
      const taken = { method: method.name, request: call.request };
      this.calls.push(taken);
      try {
        this.onMetadata(call);
        await this.before(taken);
        const handler = Reflect.get(this.store, method.localName) as Handler;
        const answer = create(method.output, handler.call(this.store, call.request));
        await this.after(taken);
        callback(null, answer);
      } catch (error) {
        callback(error as ServiceError);
      }
    };
  }

  #watch(method: DescMethod): UntypedHandleCall {
    return async (stream: WatchStream) => {
      const taken = { method: method.name, request: stream.request };
      this.calls.push(taken);
      const gone = new AbortController();
      stream.on("cancelled", () => {
        gone.abort();
        this.onWatchCancelled();
      });
      const onWrite = () => {
        this.watchMessages += 1;
      };
      try {
        await this.before(taken);
        await serveWatch(this.store, stream, { signal: gone.signal, onWrite });
        stream.end();
      } catch (error) {
        if (!gone.signal.aborted) stream.emit("error", error);
      }
    };
  }
}

function definitionOf(service: DescService): ServiceDefinition {
  const entries = service.methods.map((method) => [
    method.localName,
    {
      path: `/${service.typeName}/${method.name}`,
      requestStream: method.methodKind === "bidi_streaming",
      responseStream: method.methodKind !== "unary",
      requestSerialize: serializer(method.input),
      requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
      responseSerialize: serializer(method.output),
      responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
    },
  ]);
  return Object.fromEntries(entries);
}

function serializer(desc: DescMessage) {
  return (message: Message) => Buffer.from(toBinary(desc, message));
}
