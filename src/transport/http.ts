import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type ConnectError, createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Limits } from "../limits.ts";
import type { CallObserver } from "./call-observer.ts";
import type { Calls } from "./calls.ts";
import { type Defect, failure } from "./errors.ts";
import { sendError } from "./http-error.ts";
import { explain } from "./http-explain.ts";
import type { HttpGuard } from "./http-guard.ts";
import { callInterceptor } from "./http-interceptor.ts";
import { answerExpectation, onClientError, onConnect } from "./http-malformed.ts";
import { utf8Checked } from "./http-utf8.ts";
import type { Log } from "./log.ts";
import type { Route } from "./routes.ts";
import { EventStreams } from "./sse.ts";
import { streamPaths } from "./sse-request.ts";

/** Whether the server can do its work; `detail` says why not. */
export interface Healthz {
  readonly ok: boolean;
  readonly detail?: string;
}

export interface HttpDoorOptions {
  readonly routes: readonly Route[];
  /** Absent: requests of any Host and Origin are taken, for a port that shows no data. */
  readonly guard?: HttpGuard;
  readonly calls: Calls;
  readonly onDefect: (defect: Defect) => void;
  readonly limits: Pick<Limits, "requestBytes" | "silentSocketMs">;
  readonly healthz: () => Healthz;
  /** What else is served, by path. Default: nothing. */
  readonly pages?: ReadonlyMap<string, Page>;
  /** Hears of every call. Absent: nobody does. */
  readonly observe?: CallObserver | undefined;
  readonly log: Log;
}

/** Answers a request that is no call. An error it rejects with is logged. */
export type Page = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** Time a client may take to send a request. Answers, such as streams, may take any time. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Time an idle connection is kept for the next request; above the 60 s of common proxies. */
const KEEP_ALIVE_MS = 65_000;

/**
 * The HTTP/1.1 front door: Connect, gRPC-Web and JSON through connect-es, `text/event-stream`, and
 * `GET /healthz`.
 *
 * It does not listen; connections are handed to `accept`.
 */
export class HttpDoor {
  readonly #options: HttpDoorOptions;
  readonly #server: Server;
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;
  readonly #streams: EventStreams;

  constructor(options: HttpDoorOptions) {
    const { routes, calls, onDefect, observe, limits } = options;
    const router = createConnectRouter({
      grpc: false,
      interceptors: [callInterceptor({ calls, onDefect, observe })],
      readMaxBytes: limits.requestBytes,
      // Compression costs more than the loopback interface does.
      acceptCompression: [],
      // A misspelt field is an error, not silently nothing.
      jsonOptions: { ignoreUnknownFields: false },
    });
    for (const route of routes) {
      route.register(router);
    }
    this.#options = options;
    this.#streams = new EventStreams(options);
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
    this.#server = createServer(
      {
        requireHostHeader: false, // the guard answers with a reason
        headersTimeout: limits.silentSocketMs,
        requestTimeout: Math.max(REQUEST_TIMEOUT_MS, limits.silentSocketMs),
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: Math.ceil(limits.silentSocketMs / 2),
      },
      (request, response) =>
        this.#answer(request, response, () => this.#dispatch(request, response)),
    );
    this.#server.on("checkExpectation", (request, response) =>
      this.#answer(request, response, () => answerExpectation(request, response)),
    );
    this.#server.on("connect", onConnect);
    this.#server.on("clientError", onClientError);
    // node:http keeps track of connections, which its time limits need, only from this event on.
    this.#server.emit("listening");
  }

  /** Serves a connection of which nothing has been read, or what was read is put back. */
  accept(socket: Socket): void {
    this.#server.emit("connection", socket);
    socket.resume();
  }

  /** Closes the connections without a running request. */
  closeIdle(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  /** Answers by `serve`, unless the guard refuses the request. */
  #answer(request: IncomingMessage, response: ServerResponse, serve: () => void): void {
    const { calls, guard, log } = this.#options;
    // A client that hangs up is not news; the call's signal tells those who care.
    request.on("error", () => {});
    response.on("error", () => {});
    response.on("close", () => {
      if (calls.closed) {
        this.#server.closeIdleConnections();
      }
    });
    try {
      if (calls.closed) {
        response.setHeader("connection", "close");
      }
      const refusal = guard?.refusalOf(request);
      if (refusal !== undefined) {
        sendError(request, response, refusal);
        return;
      }
      if (guard?.answerPreflight(request, response)) {
        return;
      }
      serve();
    } catch (error) {
      log.error({ err: error, path: request.url }, "a request failed before its call began");
      response.destroy();
    }
  }

  #dispatch(request: IncomingMessage, response: ServerResponse): void {
    const { onDefect, log } = this.#options;
    const path = request.url?.split("?", 1)[0] ?? "";
    if (path === "/healthz") {
      this.#answerHealthz(response);
      return;
    }
    if (this.#streams.serve(request, response)) return;
    const page = this.#options.pages?.get(path);
    if (page !== undefined) {
      this.#answerPage(page, request, response);
      return;
    }
    const handler = this.#handlers.get(path);
    if (handler === undefined) {
      // Calls are sent with POST, where Connect's clients expect the status of UNIMPLEMENTED.
      const status = request.method === "GET" ? 404 : undefined;
      sendError(request, response, this.#unknownPath(path), status);
      return;
    }
    const { method } = handler;
    if (method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming") {
      sendError(request, response, grpcOnly(method.name));
      return;
    }
    const call = universalRequestFromNodeRequest(request, response, undefined, undefined);
    const isJson = request.headers["content-type"]?.startsWith("application/json") ?? false;
    const report = (defect: Defect) => {
      // When the client has hung up, what connect calls an internal error is only that.
      if (!response.destroyed) onDefect(defect);
    };
    handler(isJson ? { ...call, body: utf8Checked(call.body) } : call)
      .then((answer) => explain(answer, method, report))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => {
        // A client that hung up makes the last step fail; anything else is worth a line.
        if (!response.destroyed) {
          log.error({ err: error, path }, "an answer could not be sent");
          response.destroy();
        }
      });
  }

  #answerPage(page: Page, request: IncomingMessage, response: ServerResponse): void {
    const { log } = this.#options;
    Promise.resolve(page(request, response)).catch((error: unknown) => {
      log.error({ err: error, path: request.url }, "a page could not be made");
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
  }

  #answerHealthz(response: ServerResponse): void {
    const { ok, detail } = this.#options.healthz();
    response.writeHead(ok ? 200 : 503, { "content-type": "text/plain; charset=utf-8" });
    response.end(`${detail ?? (ok ? "ok" : "not serving")}\n`);
  }

  #unknownPath(path: string): ConnectError {
    const services = this.#options.routes.map((route) => `/${route.spec.service.typeName}/`);
    const pages = ["/healthz", ...(this.#options.pages?.keys() ?? [])];
    const known =
      services.length === 0
        ? `${pages.join(", ")} ${pages.length === 1 ? "is" : "are"}`
        : `calls are at ${services.join(", ")}, streams at ${streamPaths}`;
    return failure({
      reason: "NOT_SUPPORTED",
      message: `nothing is served at ${path.slice(0, 200)}; ${known}`,
    });
  }
}

function grpcOnly(name: string): ConnectError {
  return failure({
    reason: "WRONG_TRANSPORT",
    message: `${name} takes a stream of requests and is served over gRPC (HTTP/2) only`,
  });
}
