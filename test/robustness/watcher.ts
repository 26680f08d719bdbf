import type { WatchEventsResponse } from "@sessiond/contract";
import type { Connection } from "./connection.ts";
import type { Delivery } from "./history.ts";
import { markOf } from "./marks.ts";

/**
 * Follows a namespace over the lives of its server: each watch continues behind the cursor of the
 * last message of the one before.
 */
export class Watcher {
  readonly #namespace: string;
  readonly deliveries: Delivery[] = [];
  readonly #heads = new Map<string, number>();
  readonly #waiting = new Set<() => void>();
  #cursor = "";

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Watches until the connection breaks; the server is expected to die. Returns why it broke. */
  async follow({ grpc }: Connection, signal: AbortSignal): Promise<unknown> {
    const request = { namespace: this.#namespace, cursor: this.#cursor };
    try {
      // No timeout: a watch is open as long as its server lives.
      for await (const message of grpc.watchEvents(request, { signal, timeoutMs: 0 })) {
        this.#take(message);
      }
      return new Error("the watch ended without an error");
    } catch (error) {
      return error;
    }
  }

  /** Waits until each session was shown up to its revision, or the signal gives up on it. */
  async reached(heads: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void> {
    const isThere = () =>
      [...heads].every(([sessionId, revision]) => (this.#heads.get(sessionId) ?? 0) >= revision);
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => (isThere() || signal.aborted) && resolve();
    this.#waiting.add(look);
    signal.addEventListener("abort", look);
    look();
    await promise;
    signal.removeEventListener("abort", look);
    this.#waiting.delete(look);
  }

  /** Forgets what was shown of a session. */
  forget(sessionId: string): void {
    const others = this.deliveries.filter((delivery) => delivery.sessionId !== sessionId);
    this.deliveries.splice(0, this.deliveries.length, ...others);
    this.#heads.delete(sessionId);
  }

  #take({ cursor, message }: WatchEventsResponse): void {
    this.#cursor = cursor;
    if (message.case !== "events") return;
    const { sessionId, events } = message.value;
    const entries = events.map((event) => ({ revision: event.revision, mark: markOf(event) }));
    this.deliveries.push({ sessionId, entries });
    this.#heads.set(sessionId, entries.at(-1)?.revision ?? 0);
    for (const look of this.#waiting) look();
  }
}
