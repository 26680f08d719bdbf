import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../ids.ts";
import type { Store } from "./store.ts";

/** How long it rests when there is nothing to do. */
const restMs = 60_000;
/** How long it rests between pieces, so that appends go first. */
const paceMs = 20;
/** Records one piece removes. */
const pieceRecords = 500;

/** Has the store remove what is no longer needed, in small pieces, in the background. */
export class Housekeeping {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: { warn(fields: object, message: string): void };
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(args: {
    store: Store;
    clock: Clock;
    log: { warn(fields: object, message: string): void };
  }) {
    this.#store = args.store;
    this.#clock = args.clock;
    this.#log = args.log;
  }

  start(): void {
    // On a full disk the room of a deleted session is wanted at once.
    this.#store.onCommit(({ change }) => {
      if (change.after === undefined) this.#wake.abort();
    });
    this.#running = this.#run();
  }

  /** Waits for the piece under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let more = false;
      this.#wake = new AbortController();
      try {
        more = await this.#store.maintain({ nowMs: this.#clock(), limit: pieceRecords });
      } catch (err) {
        this.#log.warn({ err }, "housekeeping failed; it is tried again");
      }
      const pause = more ? { ms: paceMs, signal } : { ms: restMs, signal: this.#wake.signal };
      await sleep(pause.ms, undefined, { signal: pause.signal, ref: false }).catch(() => {});
    }
  }
}
