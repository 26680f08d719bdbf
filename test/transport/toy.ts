import { connect, type Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type AppendStreamRequest,
  EventService,
  GetServerInfoResponseSchema,
  ServerService,
  WatchEventsResponseSchema,
} from "@sessiond/contract";
import { RevisionConflictError } from "../../src/errors.ts";
import type { Log } from "../../src/transport/log.ts";
import { type Route, route } from "../../src/transport/routes.ts";
import { type TransportOptions, TransportServer } from "../../src/transport/server.ts";

export const toyLimits = {
  requestBytes: 64 * 1024,
  silentSocketMs: 10_000,
  connections: 100,
  streamsPerConnection: 1_000,
};

/** A promise with its ends outside. */
export function gate<T = void>() {
  return Promise.withResolvers<T>();
}

/** What a toy saw of its calls, so that a test can wait for it. */
export interface Toy {
  readonly routes: Route[];
  readonly logged: { readonly fields: object; readonly message: string }[];
  readonly log: Log;
  /** Resolves with the reason when the signal of a watch fires. */
  readonly watchAborted: Promise<unknown>;
  /** Resolves when the generator of a watch is left. */
  readonly watchLeft: Promise<void>;
  /** Messages a "flood" watch was asked for. */
  readonly flooded: () => number;
  /** Resolves when a "slow" append has begun; `release` lets it answer. */
  readonly appendBegun: Promise<void>;
  readonly release: () => void;
}

/**
 * Services that behave badly or well by the session's name:
 *
 * appendEvents: "conflict" fails, "defect" throws a plain error, "slow" waits, "echo" answers with
 * the number of events as the head revision and the length of the uid.
 * watchEvents: "silent" gives nothing, "quiet" gives one message and then nothing, "flood" gives large ones without end,
 * "late-error" fails after one message.
 * appendStream: answers each batch with a counter; "fail" fails at once.
 */
export function createToy(): Toy {
  const aborted = gate<unknown>();
  const left = gate();
  const appendBegun = gate();
  const released = gate();
  const logged: { fields: object; message: string }[] = [];
  let flooded = 0;
  const write = (fields: object, message: string) => void logged.push({ fields, message });

  async function* watchEvents({ sessionId }: { sessionId: string }, context: HandlerContext) {
    context.signal.addEventListener("abort", () => aborted.resolve(context.signal.reason));
    try {
      if (sessionId === "flood") {
        const big = create(WatchEventsResponseSchema, { cursor: "x".repeat(32 * 1024) });
        for (;;) {
          flooded++;
          yield big;
        }
      }
      if (sessionId === "silent") {
        await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
      }
      yield create(WatchEventsResponseSchema, {
        cursor: "1",
        message: { case: "created", value: { headRevision: 7 } },
      });
      if (sessionId === "late-error") {
        throw new RevisionConflictError({ sessionId, expected: 1, actual: 2 });
      }
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    } finally {
      left.resolve();
    }
  }

  async function* appendStream(requests: AsyncIterable<AppendStreamRequest>) {
    let headRevision = 0;
    for await (const { append } of requests) {
      if (append?.sessionId === "fail") {
        throw new RevisionConflictError({ sessionId: "fail", expected: 1, actual: 2 });
      }
      headRevision++;
      yield { append: { headRevision } };
    }
  }

  return {
    logged,
    log: { error: write, warn: write, info: write, debug: write, isLevelEnabled: () => false },
    watchAborted: aborted.promise,
    watchLeft: left.promise,
    flooded: () => flooded,
    appendBegun: appendBegun.promise,
    release: released.resolve,
    routes: [
      route(ServerService, {
        getServerInfo: () =>
          create(GetServerInfoResponseSchema, { server: { version: "toy", defaultEncoding: "é" } }),
      }),
      route(EventService, {
        appendEvents: async ({ sessionId, events }) => {
          switch (sessionId) {
            case "conflict":
              throw new RevisionConflictError({ sessionId, expected: 41, actual: 43 });
            case "defect":
              throw new Error("secret of the store");
            case "slow":
              appendBegun.resolve();
              await released.promise;
          }
          return { headRevision: events.length, sessionUid: "u".repeat(events.length) };
        },
        watchEvents,
        appendStream,
      }),
    ],
  };
}

/** An open server on a free port. */
export async function openToy(toy: Toy, options: Partial<TransportOptions> = {}) {
  const server = new TransportServer({
    listen: { host: "127.0.0.1", port: 0 },
    routes: toy.routes,
    allowHosts: [],
    allowOrigins: [],
    limits: toyLimits,
    log: toy.log,
    healthz: () => ({ ok: true }),
    ...options,
  });
  const { listen } = await server.open();
  return { server, port: listen?.port ?? 0, [Symbol.asyncDispose]: () => server.drain(0) };
}

/** A raw connection that collects what it receives. */
export class Wire {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  #received = Buffer.alloc(0);
  #waiting: (() => void) | undefined;

  constructor(target: number | string) {
    this.socket =
      typeof target === "number" ? connect(target, "127.0.0.1") : connect({ path: target });
    this.socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#waiting?.();
    });
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      this.socket.once("close", () => {
        this.#waiting?.();
        resolve();
      });
    });
  }

  get received(): string {
    return this.#received.toString("latin1");
  }

  send(bytes: string | Buffer): this {
    this.socket.write(bytes);
    return this;
  }

  /** Resolves with all that was received once it contains `text`. Fails if the peer closes first. */
  async until(text: string): Promise<string> {
    while (!this.received.includes(text)) {
      if (this.socket.destroyed) {
        throw new Error(`closed before "${text}", after: ${this.received}`);
      }
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** A Connect call as text. */
export function post(
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): string {
  const all = {
    host: "localhost",
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

export const INFO_PATH = "/sessiond.v1.ServerService/GetServerInfo";
export const APPEND_PATH = "/sessiond.v1.EventService/AppendEvents";
export const WATCH_PATH = "/sessiond.v1.EventService/WatchEvents";
export const APPEND_STREAM_PATH = "/sessiond.v1.EventService/AppendStream";
