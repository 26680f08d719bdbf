import type { WatchEventsResponse } from "@sessiond/contract";

/** A message of a watch and the place behind it. */
export interface Step {
  readonly place: number;
  /** Undefined: nothing of it can be shown any more. */
  readonly message?: WatchEventsResponse;
  /**
   * Events of deleted sessions that it passes over, because they are gone. Commits that are gone from the
   * log, too, count as one each. Absent: none.
   */
  readonly missed?: number;
}

/** Watches that follow a log closely ask for a step within this time of one another. */
const sharedMs = 50;
/** Steps that are shared at once; watches that far apart read for themselves. */
const sharedSteps = 16;

/**
 * What the watches of one log share: how far it is durable, and the steps they take together.
 *
 * A watch has a place of its own and reads from there; waking it carries no data. So there is no
 * seam between catching up and following, and no buffer that could overflow.
 */
export class Channel {
  /** The log it belongs to, among the channels of its kind. */
  readonly key: string;
  /** Newest durable place. */
  place: number;
  /** The session has ended, as of `place`. */
  hasEnded: boolean;
  /** The session was deleted. */
  isDeleted = false;
  /** Watches that are open on it. */
  watches = 0;
  readonly #steps = new Map<number | string, Promise<Step>>();
  readonly #waiting = new Set<() => void>();

  constructor(key: string, { place, hasEnded }: { place: number; hasEnded: boolean }) {
    this.key = key;
    this.place = place;
    this.hasEnded = hasEnded;
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

  /** Has every step read anew: what a session had may be gone in part. */
  forgetSteps(): void {
    this.#steps.clear();
  }

  /**
   * The next step from a place. Watches that come to the same place at about the same time get the
   * same one, so that it is read, and its message encoded, once for all of them. Places that need more
   * than a number come as texts.
   */
  step(place: number | string, read: () => Promise<Step>): Promise<Step> {
    if (this.watches === 1) return read();
    const known = this.#steps.get(place);
    if (known !== undefined) return known;
    const step = read();
    if (this.#steps.size < sharedSteps) {
      this.#steps.set(place, step);
      setTimeout(() => this.#steps.delete(place), sharedMs).unref();
    }
    return step;
  }
}
