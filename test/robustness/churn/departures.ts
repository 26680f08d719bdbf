import type { WatchEventsResponse } from "@sessiond/contract";
import type { Clients } from "./clients.ts";

/** Counts the sessions of a namespace that are deleted, as a watch shows them. Disposing ends it. */
export class Departures implements AsyncDisposable {
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #count = 0;
  #wanted = 0;
  #reached = Promise.withResolvers<void>();

  /** Resolves when the watch is open. */
  static async watch({ events }: Clients, namespace: string): Promise<Departures> {
    const departures = new Departures();
    const { signal } = departures.#stop;
    const watch = events.watchEvents({ namespace }, { signal, timeoutMs: 0 });
    const messages = watch[Symbol.asyncIterator]();
    await messages.next();
    departures.#following = departures.#follow(messages);
    return departures;
  }

  /** Waits until so many sessions are gone. Errors: when the watch breaks. */
  async reached(count: number): Promise<void> {
    this.#wanted = count;
    this.#reached = Promise.withResolvers();
    if (this.#count >= count) this.#reached.resolve();
    await Promise.race([this.#reached.promise, this.#following]);
    if (this.#count < count) throw new Error(`the watch ended at ${this.#count} of ${count}`);
  }

  async #follow(messages: AsyncIterator<WatchEventsResponse>): Promise<void> {
    try {
      for (let next = await messages.next(); !next.done; next = await messages.next()) {
        if (next.value.message.case !== "sessionDeleted") continue;
        if (++this.#count >= this.#wanted) this.#reached.resolve();
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }
}
