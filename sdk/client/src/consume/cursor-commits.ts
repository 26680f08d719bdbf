import type { Clients } from "../clients.ts";

/**
 * Time between two commits. A call for each message would cost the server half of what the messages do; who
 * crashes is given again what it dealt with in this time.
 */
const restMs = 50;
/** How often a reader that is busy with one batch says that it is alive; the server waits 30 s. */
const touchMs = 10_000;

/**
 * Commits cursors beside the reading, one call at a time with a short rest behind it: those that come meanwhile
 * are one call, with the newest, because it stands for all before it.
 */
export class CursorCommits {
  readonly #clients: Pick<Clients, "consumers">;
  readonly #name: { readonly namespace: string; readonly name: string };
  readonly #onFailure: () => void;
  #lease = "";
  /** What is committed, as far as this watch knows from its beginning. */
  #kept = "";
  #newest = "";
  #wanted: string | undefined;
  #running: Promise<void> | undefined;
  #isEnding = false;
  #endRest = () => {};
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
    this.#kept = cursor;
  }

  /**
   * All up to the cursor is done with. The first is committed also when it is the one that is kept: a gap may
   * have it, and is told until it is committed.
   */
  add(cursor: string): void {
    if (cursor === this.#newest) return;
    this.#newest = cursor;
    this.#commit(cursor);
  }

  /** Commits what is committed already, again and again while work goes on: so the name is kept. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => {
      if (this.#running === undefined) this.#commit(this.#newest || this.#kept);
    }, touchMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  /** Commits what is not committed yet, at once, and nothing after it. Never rejects, see `failure`. */
  async close(): Promise<void> {
    this.#isEnding = true;
    this.#endRest();
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
      if (!this.#isEnding && this.failure === undefined) await this.#rest();
    }
    this.#running = undefined;
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, restMs);
      this.#endRest = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
