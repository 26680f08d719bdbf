import type { IncomingMessage, ServerResponse } from "node:http";
import { create } from "@bufbuild/protobuf";
import { Code, createHandlerContext, type MethodImplSpec } from "@connectrpc/connect";
import {
  EventService,
  type WatchEventsRequest,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "@sessiond/contract";
import { hasEnded } from "../domain/lifecycle/states.ts";
import type { Calls } from "./calls.ts";
import { abandoned, type Defect, failure, toConnectError } from "./errors.ts";
import { pump } from "./grpc-stream.ts";
import { sendError } from "./http-error.ts";
import type { Log } from "./log.ts";
import type { Route } from "./routes.ts";
import { type Encode, errorFrame, framesOfStream, retryFrame, sharedFrames } from "./sse-frames.ts";
import { isStreamPath, watchRequestOf } from "./sse-request.ts";

export interface EventStreamsOptions {
  readonly routes: readonly Route[];
  readonly calls: Calls;
  readonly onDefect: (defect: Defect) => void;
  readonly log: Log;
}

type Messages = AsyncIterator<WatchEventsResponse>;
type WatchSpec = MethodImplSpec & { kind: "server_streaming" };

/** A watch that has said its first word. */
interface Begun {
  readonly messages: Messages;
  /** Nothing is left to tell a browser that came back, nor will be. */
  readonly isOver: boolean;
}

const headers = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  // Proxies of the nginx family would hold messages back.
  "x-accel-buffering": "no",
  // A browser that reconnects to a server that ends must not do so on the connection that ends.
  connection: "close",
};

/**
 * WatchEvents as `text/event-stream`, for EventSource and for what reads lines: `GET
 * /v1/sessions/{id}/stream` and `GET /v1/stream`.
 *
 * The next message is asked for when the socket has taken the one before, so a client that does
 * not read costs one message.
 */
export class EventStreams {
  readonly #options: EventStreamsOptions;
  readonly #watch: WatchSpec | undefined;
  readonly #encode: Encode = sharedFrames();

  constructor(options: EventStreamsOptions) {
    this.#options = options;
    const spec = options.routes.find((route) => route.spec.service === EventService)?.spec;
    const watch = spec?.methods[EventService.method.watchEvents.localName];
    this.#watch = watch?.kind === "server_streaming" ? watch : undefined;
  }

  /** Answers a request for a stream. False: it is for something else. */
  serve(request: IncomingMessage, response: ServerResponse): boolean {
    const [path = "", ...query] = (request.url ?? "").split("?");
    const watch = this.#watch;
    if (watch === undefined || !isStreamPath(path)) return false;
    if (request.method !== "GET") {
      const message = `${request.method} is not served here; a stream is read with GET`;
      response.setHeader("allow", "GET");
      sendError(request, response, failure({ reason: "NOT_SUPPORTED", message }), 405);
      return true;
    }
    const serve = () =>
      this.#serve(request, response, { watch, path, query: query.join("?") }).catch((error) => {
        this.#options.log.error({ err: error, path }, "a stream could not be answered");
        response.destroy();
      });
    // Sent before the answer to an earlier request was complete, it has to wait for that. Until then
    // nothing would tell that its client is gone.
    if (response.socket === null) response.once("socket", serve);
    else serve();
    return true;
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    target: { watch: WatchSpec; path: string; query: string },
  ): Promise<void> {
    const { calls, onDefect } = this.#options;
    const fail = (error: unknown) => {
      const told = toConnectError(error, onDefect);
      if (response.headersSent) response.end(errorFrame(told));
      else sendError(request, response, told);
    };
    try {
      calls.begin("stream");
    } catch (error) {
      fail(error);
      return;
    }
    // A request that is not read to its end hides that its client is gone.
    request.resume();
    const client = new AbortController();
    response.once("close", () => client.abort(abandoned(Code.Canceled)));
    const { signal } = client;
    try {
      const { messages, isOver } = await this.#begin(request, target, signal);
      if (isOver) {
        // Anything else would make the browser ask again.
        response.writeHead(204).end();
        return;
      }
      response.writeHead(200, headers);
      response.write(retryFrame);
      const call = {
        get cancelled() {
          return signal.aborted;
        },
        once: (_event: "cancelled", leave: () => void) =>
          signal.addEventListener("abort", leave, { once: true }),
        write: (bytes: Buffer, accepted: () => void) => response.write(bytes, accepted),
      };
      const encode = framesOfStream(this.#encode);
      await pump({ call, iterator: messages, first: messages.next(), encode });
      response.end();
    } catch (error) {
      // When the client has hung up, there is nobody to tell.
      if (!signal.aborted) fail(error);
    } finally {
      calls.end("stream");
    }
  }

  /** Errors: those of the watch before its first message. */
  async #begin(
    { url = "", headers }: IncomingMessage,
    { watch, path, query }: { watch: WatchSpec; path: string; query: string },
    signal: AbortSignal,
  ): Promise<Begun> {
    const id = headers["last-event-id"];
    const lastEventId = Array.isArray(id) ? id.join() : id;
    const request = watchRequestOf({ path, query, lastEventId });
    const iterator = openWatch({ watch, request, url, signal });
    const known = [await iterator.next()];
    let isOver = false;
    if (lastEventId && request.untilEnded && hasEndedBy(known[0]?.value)) {
      // Of an ended session the next message, or the end, is there, or is written any moment.
      const next = await iterator.next();
      isOver = next.done === true;
      known.push(next);
    }
    const messages: Messages = {
      next: async () => known.shift() ?? iterator.next(),
      return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
    };
    return { messages, isOver };
  }
}

function openWatch(args: {
  watch: WatchSpec;
  request: WatchEventsRequest;
  url: string;
  signal: AbortSignal;
}): Messages {
  const { watch, request, url, signal } = args;
  const context = createHandlerContext({
    service: EventService,
    method: watch.method,
    protocolName: "sse",
    requestMethod: "GET",
    url: new URL(url, "http://localhost").href,
    requestSignal: signal,
  });
  const iterator = watch.impl(request, context)[Symbol.asyncIterator]();
  return {
    async next() {
      const { done, value } = await iterator.next();
      return done === true
        ? { done, value: undefined }
        : { done: false, value: create(WatchEventsResponseSchema, value) };
    },
    async return() {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
  };
}

function hasEndedBy(first: WatchEventsResponse | undefined): boolean {
  return first?.message.case === "created" && hasEnded({ session: first.message.value });
}
