import type { Clients } from "../clients.ts";

/** How often a reader that is busy with one batch says that it is alive; the server waits 30 s. */
const touchMs = 10_000;

/**
 * Commits cursors beside the reading, one call at a time: those that come meanwhile are one call, with
 * the newest, because it stands for all before it.
 */
export class CursorCommits {
  readonly #clients: Pick<Clients, "consumers">;
  readonly #name: { readonly namespace: string; readonly name: string };
  readonly #onFailure: () => void;
  #lease = "";
  #newest = "";
  #wanted: string | undefined;
  #running: Promise<void> | undefined;
  /** What a commit failed with; nothing is committed after it. */
  failure: unknown;

  constructor(args: {
    clients: Pick<Clients, "consumers">;
    namespace: string;
    name: string;
    onFailure: () => void;
  }) {
    this.#clients = args.clients;
    this.#name = { namespace: args.namespace, name: args.name };
    this.#onFailure = args.onFailure;
  }

  /** The watch is open, behind what is committed. */
  begin({ lease, cursor }: { lease: string; cursor: string }): void {
    this.#lease = lease;
    this.#newest = cursor;
  }

  /** All up to the cursor is done with. */
  add(cursor: string): void {
    if (cursor === this.#newest) return;
    this.#newest = cursor;
    this.#commit(cursor);
  }

  /** Commits what is committed already, again and again while work goes on: so the name is kept. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      if (this.#running === undefined) this.#commit(this.#newest);
    }, touchMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  /** Waits for what is not committed yet. Never rejects, see `failure`. */
  async settled(): Promise<void> {
    await this.#running;
  }

  #commit(cursor: string): void {
    this.#wanted = cursor;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#wanted !== undefined && this.failure === undefined) {
      const cursor = this.#wanted;
      this.#wanted = undefined;
      try {
        const request = { ...this.#name, cursor, lease: this.#lease };
        await this.#clients.consumers.commitCursor(request);
      } catch (error) {
        this.failure = error;
        this.#onFailure();
      }
    }
    this.#running = undefined;
  }
}
