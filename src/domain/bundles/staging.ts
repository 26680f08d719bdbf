import { toBinary } from "@bufbuild/protobuf";
import type { Event } from "@sessiond/contract";
import { type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import { SessionLogFullError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { encodedEvent } from "../../store/encoded.ts";
import type { Store } from "../../store/store.ts";

/**
 * Stores the log of a session that is not there yet, in batches of the size that watches send on.
 * Many are under way at once; beyond that it waits.
 */
export class Staging {
  readonly #store: Store;
  readonly #key: { namespace: string; sessionId: string; uid: string };
  readonly #ends: number[] = [];
  readonly #underWay = new Set<Promise<unknown>>();
  #events: Event[] = [];
  #checkpoints: SessionHead[] = [];
  /** Of the next batch, and of all checkpoints. */
  #bytes = 0;
  #checkpointBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(store: Store, key: { namespace: string; sessionId: string; uid: string }) {
    this.#store = store;
    this.#key = key;
  }

  /**
   * `checkpoint`: the head behind the event, if it is to be kept.
   *
   * Errors: SessionLogFullError when checkpoints take more room than a log may; those of `Store.commit`.
   */
  async add(event: Event, checkpoint?: SessionHead): Promise<void> {
    const bytes = encodedEvent(event).length;
    const isFull =
      this.#events.length >= limits.watchBatchEvents ||
      this.#bytes + bytes > limits.watchBatchBytes;
    if (isFull && this.#events.length > 0) this.#flush();
    this.#events.push(event);
    this.#bytes += bytes;
    if (checkpoint !== undefined) this.#keep(checkpoint);
    if (this.#underWay.size >= limits.importInFlight) await Promise.race(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits until what was added is stored, and can be read. Errors: those of `Store.commit`. */
  async settled(): Promise<void> {
    this.#flush();
    await Promise.all(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Where the batches end, once all of them are stored. Errors: those of `Store.commit`. */
  async end(): Promise<readonly number[]> {
    await this.settled();
    return this.#ends;
  }

  /** Has what was stored removed. */
  async giveUp(): Promise<void> {
    this.#events = [];
    await Promise.all(this.#underWay);
    // A store that takes nothing more removes it at its next start.
    await this.#store.commit({ key: this.#key, events: [], staged: [] }).catch(() => {});
  }

  #keep(checkpoint: SessionHead): void {
    const bytes = toBinary(SessionHeadSchema, checkpoint).length;
    this.#bytes += bytes;
    this.#checkpointBytes += bytes;
    if (this.#checkpointBytes > limits.sessionLogBytes) {
      const { sessionId } = this.#key;
      throw new SessionLogFullError({ sessionId, limitBytes: limits.sessionLogBytes });
    }
    this.#checkpoints.push(checkpoint);
  }

  #flush(): void {
    const events = this.#events;
    const checkpoints = this.#checkpoints;
    const last = events.at(-1);
    if (last === undefined || this.#failure !== undefined) return;
    this.#events = [];
    this.#checkpoints = [];
    this.#bytes = 0;
    const staged = this.#ends.slice(-1);
    this.#ends.push(last.revision);
    const commit = this.#store.commit({ key: this.#key, events, staged, checkpoints }).then(
      () => {},
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    this.#underWay.add(commit);
    commit.finally(() => this.#underWay.delete(commit));
  }
}
