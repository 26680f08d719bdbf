import { Worker } from "node:worker_threads";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Event, EventBatchSchema } from "@sessiond/contract";
import { DeliveryError, RefusedBatchError, type Sink, type SinkBatch } from "../sink.ts";
import type { Notice } from "./log-records.ts";
import type { Found, FromThread, Question, ToThread } from "./protocol.ts";
import type { OtlpSettings } from "./settings.ts";
import type { SessionSource } from "./source.ts";

interface Delivery {
  readonly id: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface OtlpSinkOptions {
  readonly settings: OtlpSettings;
  readonly source: SessionSource;
  readonly log: { warn(fields: object, message: string): void };
  /** Starts the thread. Default: the file beside this one, as source or as built. */
  readonly startWorker?: (settings: OtlpSettings) => Worker;
}

/**
 * Sends events to a receiver of OTLP over HTTP: each as a log record, and sessions as traces.
 *
 * The main thread hands a batch over and answers what the thread looks up; one batch is under way. The
 * thread starts with the first batch, and again after it died. It does not keep the process alive.
 */
export class OtlpSink implements Sink {
  readonly #settings: OtlpSettings;
  readonly #source: SessionSource;
  readonly #log: OtlpSinkOptions["log"];
  readonly #startWorker: (settings: OtlpSettings) => Worker;
  #worker: Worker | undefined;
  #delivery: Delivery | undefined;
  #nextId = 0;

  constructor(options: OtlpSinkOptions) {
    this.#settings = options.settings;
    this.#source = options.source;
    this.#log = options.log;
    this.#startWorker = options.startWorker ?? startWorker;
  }

  /** Errors: RefusedBatchError, DeliveryError. */
  async deliver({ namespace, messages }: SinkBatch, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#delivery !== undefined) throw new Error("a batch is under way");
    const worker = this.#running();
    const id = this.#nextId++;
    const onAbort = () => worker.postMessage({ kind: "abort", id } satisfies ToThread);
    const delivered = new Promise<void>((resolve, reject) => {
      this.#delivery = { id, resolve, reject };
    });
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const happenings = packed(messages);
      const bytes = happenings.filter((happening) => happening instanceof Uint8Array);
      const message: ToThread = { kind: "deliver", id, namespace, happenings };
      worker.postMessage(message, [...new Set(bytes.map(({ buffer }) => buffer as ArrayBuffer))]);
      await delivered;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#delivery = undefined;
    }
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = this.#startWorker(this.#settings);
    let cause: unknown;
    worker.on("message", (message: FromThread) => this.#hear(worker, message));
    worker.on("error", (error) => {
      cause = error;
    });
    worker.on("exit", (code) => {
      if (this.#worker === worker) this.#worker = undefined;
      const died = cause ?? new Error(`exit code ${code}`);
      const error = new DeliveryError("the thread that sends died", { cause: died });
      this.#delivery?.reject(error);
    });
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #hear(worker: Worker, message: FromThread): void {
    switch (message.kind) {
      case "delivered":
        this.#deliveryOf(message.id)?.resolve();
        break;
      case "failed": {
        const { message: text, isRefused, retryAfterMs } = message;
        const error = isRefused
          ? new RefusedBatchError(text)
          : new DeliveryError(text, { retryAfterMs });
        this.#deliveryOf(message.id)?.reject(error);
        break;
      }
      case "rejected": {
        const { signal, rejected } = message;
        this.#log.warn({ signal, rejected }, "an OTLP receiver left records out");
        break;
      }
      case "look":
        void this.#look(message.question).then((found) => {
          worker.postMessage({ kind: "found", id: message.id, found } satisfies ToThread);
        });
        break;
    }
  }

  /** One that was given up has gone. */
  #deliveryOf(id: number): Delivery | undefined {
    return this.#delivery?.id === id ? this.#delivery : undefined;
  }

  async #look(question: Question): Promise<Found> {
    try {
      if (question.of === "session") return { facts: await this.#source.session(question) };
      return { events: packedEvents({ events: await this.#source.events(question) }) };
    } catch (err) {
      // Spans are less exact without it; what there is of them goes out all the same.
      this.#log.warn({ err }, "a session could not be looked up for its trace");
      return { facts: undefined };
    }
  }
}

/** Events of one session that follow each other travel together. */
function packed(messages: SinkBatch["messages"]): (Uint8Array<ArrayBuffer> | Notice)[] {
  const happenings: (Uint8Array<ArrayBuffer> | Notice)[] = [];
  let run: { sessionId: string; sessionUid: string; events: Event[] } | undefined;
  const end = () => {
    if (run !== undefined) happenings.push(packedEvents(run));
    run = undefined;
  };
  for (const message of messages) {
    if (message.kind !== "event") {
      end();
      happenings.push(message);
      continue;
    }
    const { sessionId, sessionUid, event } = message;
    if (run?.sessionUid !== sessionUid || run.sessionId !== sessionId) end();
    run ??= { sessionId, sessionUid, events: [] };
    run.events.push(event);
  }
  end();
  return happenings;
}

function packedEvents(batch: {
  sessionId?: string;
  sessionUid?: string;
  events: readonly Event[];
}): Uint8Array<ArrayBuffer> {
  const { events, ...session } = batch;
  return toBinary(EventBatchSchema, create(EventBatchSchema, { ...session, events: [...events] }));
}

function startWorker(settings: OtlpSettings): Worker {
  // The worker has the suffix of this file: .ts as source, .js as built.
  const suffix = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const file = new URL(`./otlp-worker${suffix}`, import.meta.url);
  return new Worker(file, { name: "otlp", workerData: settings });
}
