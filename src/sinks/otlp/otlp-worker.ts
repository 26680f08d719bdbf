/*
 * The thread that makes spans and log records of events, encodes and packs them, and sends them. The
 * libraries of OpenTelemetry are loaded here and nowhere else.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { fromBinary } from "@bufbuild/protobuf";
import { type Event, EventBatchSchema } from "@sessiond/contract";
import type { Found, FromThread, Question, Start, ToThread } from "./protocol.ts";
import { SendError, Sender } from "./sender.ts";
import type { OwnRange, SessionFacts, SessionSource } from "./source.ts";
import { type Happening, ThreadSink } from "./thread-sink.ts";
import { Traces } from "./traces.ts";

/** Asks the main thread for what only the store knows. */
class Asked implements SessionSource {
  readonly #port: MessagePort;
  readonly #open = new Map<number, (found: Found) => void>();
  #nextId = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  async session(name: { namespace: string; sessionId: string; uid: string }) {
    const { namespace, sessionId, uid } = name;
    const found = await this.#ask({ of: "session", namespace, sessionId, uid });
    return "facts" in found ? (found.facts satisfies SessionFacts | undefined) : undefined;
  }

  async events(range: OwnRange): Promise<readonly Event[]> {
    const found = await this.#ask({ of: "events", ...range });
    return "events" in found ? fromBinary(EventBatchSchema, found.events).events : [];
  }

  found(id: number, found: Found): void {
    this.#open.get(id)?.(found);
    this.#open.delete(id);
  }

  #ask(question: Question): Promise<Found> {
    const id = this.#nextId++;
    this.#port.postMessage({ kind: "look", id, question } satisfies FromThread);
    return new Promise((resolve) => this.#open.set(id, resolve));
  }
}

function serve(port: MessagePort, settings: Start): void {
  const post = (message: FromThread) => port.postMessage(message);
  const source = new Asked(port);
  const aborts = new Map<number, AbortController>();
  const sink = new ThreadSink({
    settings,
    traces: new Traces({ source, memoryBytes: settings.memoryBytes }),
    sender: new Sender(settings),
    onRejected: (signal, rejected) => post({ kind: "rejected", signal, rejected }),
    nowMs: Date.now,
  });

  const deliver = async ({ id, namespace, happenings }: ToThread & { kind: "deliver" }) => {
    const abort = new AbortController();
    aborts.set(id, abort);
    try {
      await sink.deliver({ namespace, happenings: happenings.map(read) }, abort.signal);
      post({ kind: "delivered", id });
    } catch (error) {
      const { isRefused = false, retryAfterMs } = error instanceof SendError ? error : {};
      const message = error instanceof Error ? error.message : String(error);
      post({ kind: "failed", id, message, isRefused, retryAfterMs });
    } finally {
      aborts.delete(id);
    }
  };

  port.on("message", (message: ToThread) => {
    switch (message.kind) {
      case "deliver":
        void deliver(message);
        break;
      case "abort":
        aborts.get(message.id)?.abort();
        break;
      case "found":
        source.found(message.id, message.found);
        break;
    }
  });
}

function read(happening: (ToThread & { kind: "deliver" })["happenings"][number]): Happening {
  return happening instanceof Uint8Array
    ? { events: fromBinary(EventBatchSchema, happening) }
    : { notice: happening };
}

if (parentPort !== null) serve(parentPort, workerData as Start);
