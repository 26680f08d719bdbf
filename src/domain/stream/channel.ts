import type { Event, WatchEventsResponse } from "@sessiond/contract";
import { limits } from "../../limits.ts";

/** One commit of a log, kept in memory for those who follow it closely. */
export interface TailCommit {
  readonly sessionId: string;
  readonly uid: string;
  /** Places the commit covers: the revisions of its events, or its one offset in a namespace. */
  readonly first: number;
  readonly last: number;
  /** Empty when the commit deleted the session; `deleted` then has the revisions it had. */
  readonly events: readonly Event[];
  readonly deleted?: { readonly firstRevision: number; readonly lastRevision: number };
  readonly bytes: number;
}

/** A message of a watch and the place behind it. */
export interface Step {
  readonly place: number;
  /** Undefined: nothing of it can be shown any more. */
  readonly message?: WatchEventsResponse;
}

/**
 * What the watches of one log share: how far it is durable, and its newest commits.
 *
 * A watch has a place of its own and reads from there; waking it carries no data. So there is no
 * seam between catching up and following, and no buffer that could overflow.
 */
export class Channel {
  /** Newest durable place. */
  place: number;
  /** The session has ended, as of `place`. */
  hasEnded: boolean;
  /** The session was deleted. */
  isDeleted = false;
  /** Watches that are open on it. */
  watches = 0;
  readonly #tail: TailCommit[] = [];
  readonly #steps = new Map<number, Step>();
  readonly #waiting = new Set<() => void>();
  #tailBytes = 0;

  constructor({ place, hasEnded }: { place: number; hasEnded: boolean }) {
    this.place = place;
    this.hasEnded = hasEnded;
  }

  get tailBytes(): number {
    return this.#tailBytes;
  }

  /** Calls back at the next wake-up, once. Returns the way to take that back. */
  onWake(callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const callback of waiting) callback();
  }

  remember(commit: TailCommit): void {
    this.#steps.clear();
    this.#tail.push(commit);
    this.#tailBytes += commit.bytes;
    while (
      this.#tail.length > limits.tailCommits ||
      (this.#tailBytes > limits.tailChannelBytes && this.#tail.length > 1)
    ) {
      this.#tailBytes -= this.#tail.shift()?.bytes ?? 0;
    }
  }

  forget(): void {
    this.#steps.clear();
    this.#tail.length = 0;
    this.#tailBytes = 0;
  }

  /**
   * The next step from a place, made from the tail by `make`; undefined when the tail does not
   * reach back so far. Watches at the same place get the same step, so that its message is made
   * and encoded once for all of them.
   */
  step(place: number, make: (commits: readonly TailCommit[]) => Step): Step | undefined {
    const known = this.#steps.get(place);
    if (known !== undefined) return known;
    let index = this.#tail.length;
    while (index > 0 && (this.#tail[index - 1]?.first ?? 0) > place) index--;
    if (this.#tail[index]?.first !== place + 1) return undefined;
    const step = make(this.#tail.slice(index, index + limits.watchBatchEvents));
    this.#steps.set(place, step);
    return step;
  }
}
