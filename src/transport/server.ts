import { Server, type ServerOptions } from "@grpc/grpc-js";
import type { Limits } from "../limits.ts";
import { type CallObserver, type EndedCall, observer } from "./call-observer.ts";
import { callRecords } from "./call-records.ts";
import { type CallKind, Calls } from "./calls.ts";
import type { Defect } from "./errors.ts";
import { addToGrpcServer, pathsOf } from "./grpc.ts";
import { explainStatuses, installGate } from "./grpc-gate.ts";
import { Health } from "./health.ts";
import { type Healthz, HttpDoor, type Page } from "./http.ts";
import { HttpGuard } from "./http-guard.ts";
import { holdBack } from "./late-service.ts";
import type { Log } from "./log.ts";
import { Port, type TcpAddress } from "./port.ts";
import { reflection } from "./reflection.ts";
import type { Route } from "./routes.ts";

export interface TransportOptions {
  /** TCP address of the API. Absent: none. */
  readonly listen?: TcpAddress;
  /** Path of a unix socket for the API, mode 0600. Absent: none. */
  readonly unix?: string;
  /** TCP address that serves health and metrics only, for what looks from outside the pod. Absent: none. */
  readonly probeListen?: TcpAddress;
  readonly routes: readonly Route[];
  /** Hosts that HTTP requests may name, beside the loopback names and `listen.host`. */
  readonly allowHosts: readonly string[];
  /** Origins of pages that may send HTTP requests. */
  readonly allowOrigins: readonly string[];
  readonly limits: Pick<
    Limits,
    "requestBytes" | "silentSocketMs" | "connections" | "streamsPerConnection"
  >;
  readonly log: Log;
  /** What `GET /healthz` says. During a shutdown it is not asked. */
  readonly healthz: () => Healthz;
  /** Pages of the probe port, by path. They show no data. Default: none. */
  readonly probePages?: ReadonlyMap<string, Page>;
  /** Hears of every call that has ended. Absent: nobody does. */
  readonly onCallEnd?: ((call: EndedCall) => void) | undefined;
  /**
   * Aborted when a shutdown begins, so that streams end. Give it when the services need the signal
   * before there is a server. Default: the server's own.
   */
  readonly shutdown?: AbortController;
}

/** Where a server listens. */
export interface BoundAddresses {
  readonly listen?: TcpAddress;
  readonly unix?: string;
  readonly probeListen?: TcpAddress;
}

/** A client that has not answered a ping by then is gone, and its streams with it. */
const PING_INTERVAL_MS = 60_000;
const PING_TIMEOUT_MS = 20_000;
/** Time for streams to give their last messages and the reason of their end. */
const STREAM_END_MS = 1_000;
/** Time for answers under way to reach their clients after the last call has ended. */
const FLUSH_MS = 1_000;

/**
 * The network side of the server: one port for gRPC, Connect, gRPC-Web and JSON, and a probe port.
 *
 * `open()` begins, `drain()` ends. Both are called once.
 */
export class TransportServer {
  /** Aborted when a shutdown begins. Streams end on it; unary calls need not look at it. */
  readonly shutdownSignal: AbortSignal;
  readonly #options: TransportOptions;
  readonly #shutdown: AbortController;
  readonly #calls = new Calls();
  readonly #health: Health;
  readonly #observe: CallObserver;
  #port: Port | undefined;
  #probe: Port | undefined;
  #addresses: BoundAddresses = {};
  #draining: Promise<void> | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#shutdown = options.shutdown ?? new AbortController();
    this.shutdownSignal = this.#shutdown.signal;
    const record = callRecords(options.log);
    this.#observe = observer((call, request) => {
      options.onCallEnd?.(call);
      record(call, request);
    });
    this.#health = new Health(options.routes.map((route) => route.spec.service.typeName));
  }

  /** Addresses that were bound, with the real port where 0 was asked for. */
  get addresses(): BoundAddresses {
    return this.#addresses;
  }

  /** Calls under way, without those of health and reflection. */
  get running(): Readonly<Record<CallKind, number>> {
    return this.#calls.running;
  }

  /** Listens everywhere, or nowhere: throws StartError with what to do about it. */
  async open(): Promise<BoundAddresses> {
    const { listen, unix, probeListen } = this.#options;
    try {
      const port = this.#openPort();
      this.#port = port;
      const bound = {
        ...(listen && { listen: await port.listenTcp(listen) }),
        ...(unix !== undefined && { unix }),
      };
      if (unix !== undefined) {
        await port.listenUnix(unix);
      }
      this.#addresses = bound;
      if (probeListen !== undefined) {
        const probe = this.#openProbe();
        this.#probe = probe;
        this.#addresses = { ...bound, probeListen: await probe.listenTcp(probeListen) };
      }
    } catch (error) {
      await this.drain(0);
      throw error;
    }
    return this.#addresses;
  }

  /**
   * Ends in order: health says NOT_SERVING, new connections and calls are refused (UNAVAILABLE,
   * SHUTTING_DOWN), streams are told by `shutdownSignal`, running calls finish, connections close.
   * What is not done after `graceMs` is cut off. Safe to call again: the first call counts.
   */
  drain(graceMs: number): Promise<void> {
    this.#draining ??= this.#drain(graceMs);
    return this.#draining;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
  }

  async #drain(graceMs: number): Promise<void> {
    this.#health.set("NOT_SERVING");
    this.#port?.stopAccepting();
    this.#calls.close();
    this.#shutdown.abort();
    // A stream waits for its reader; one that does not read holds up no shutdown.
    const unaryInTime = await within(graceMs, this.#calls.ended("unary"));
    const streamMs = Math.min(graceMs, STREAM_END_MS);
    const inTime = unaryInTime && (await within(streamMs, this.#calls.ended("unary", "stream")));
    const flushMs = inTime ? Math.min(FLUSH_MS, graceMs) : 0;
    if (!inTime) {
      this.#options.log.warn({ graceMs }, "calls were still running at shutdown and were cut off");
    }
    await Promise.all([this.#port?.close(flushMs), this.#probe?.close(flushMs)]);
  }

  #openPort(): Port {
    const { routes, limits, log, listen } = this.#options;
    const calls = this.#calls;
    const observe = this.#observe;
    const onDefect = (defect: Defect) => this.#report(defect);
    const standard = [this.#health.service, reflection(routes.map((route) => route.spec.service))];
    const grpc = new Server({
      ...commonOptions,
      "grpc.max_concurrent_streams": limits.streamsPerConnection,
      "grpc.max_receive_message_length": limits.requestBytes,
      "grpc.max_send_message_length": -1,
      interceptors: [explainStatuses(limits.requestBytes), holdBack(standard, onDefect)],
    });
    installGate(grpc, { calls, paths: new Set(routes.flatMap(pathsOf)) });
    for (const route of routes) {
      addToGrpcServer(grpc, route, { calls, onDefect, observe });
    }
    for (const service of standard) {
      service.addTo(grpc);
    }
    const guard = new HttpGuard({
      allowHosts: [...this.#options.allowHosts, ...(listen ? [hostOf(listen)] : [])],
      allowOrigins: this.#options.allowOrigins,
    });
    const healthz = () => this.#healthz();
    const http = new HttpDoor({ routes, guard, calls, onDefect, observe, limits, log, healthz });
    return new Port({ grpc, http, limits, log });
  }

  #openProbe(): Port {
    const { limits, log, probePages } = this.#options;
    const calls = this.#calls;
    const onDefect = (defect: Defect) => this.#report(defect);
    const { service } = this.#health;
    const grpc = new Server({ ...commonOptions, interceptors: [holdBack([service], onDefect)] });
    installGate(grpc, { calls, paths: new Set() });
    service.addTo(grpc);
    const http = new HttpDoor({
      routes: [],
      calls,
      onDefect,
      limits,
      log,
      healthz: () => this.#healthz(),
      ...(probePages && { pages: probePages }),
    });
    return new Port({ grpc, http, limits, log });
  }

  #healthz(): Healthz {
    return this.#calls.closed ? { ok: false, detail: "shutting down" } : this.#options.healthz();
  }

  #report({ requestId, cause }: Defect): void {
    this.#options.log.error({ err: cause, request_id: requestId }, "a call failed by a defect");
  }
}

const commonOptions: ServerOptions = {
  "grpc.enable_channelz": 0,
  "grpc.keepalive_time_ms": PING_INTERVAL_MS,
  "grpc.keepalive_timeout_ms": PING_TIMEOUT_MS,
};

/** As it stands in a Host header. */
function hostOf({ host }: TcpAddress): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** True if `work` was done in time. */
async function within(timeoutMs: number, work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const inTime = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
}
