import type { ConsumerRecord } from "@sessiond/contract/store";
import { WritesRefusedError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Change, ConsumerName, Store } from "../../store/store.ts";
import { noUid } from "../session-cells.ts";
import { placeOf } from "./consumer-place.ts";
import type { ReaderLease } from "./reader-lease.ts";

/** A consumer in memory. */
export class ConsumerCell {
  readonly name: ConsumerName;
  /** With the newest place that was committed; undefined: there is no such consumer. */
  record: ConsumerRecord | undefined;
  /** The record that was last given to the store, or found there. */
  submitted: ConsumerRecord | undefined;
  /** The record that is in the store for sure. */
  written: ConsumerRecord | undefined;
  /** Who reads under the name now. */
  lease: ReaderLease | undefined;
  /** It is about to be deleted: nothing is written any more. */
  isGoing = false;
  #alone: Promise<unknown> = Promise.resolve();

  constructor(name: ConsumerName, stored: ConsumerRecord | undefined) {
    this.name = name;
    this.stored(stored);
  }

  /** Takes note of what is in the store. */
  stored(record: ConsumerRecord | undefined): void {
    this.record = record;
    this.submitted = record;
    this.written = record;
  }

  /** Runs one at a time: creations and deletions, which look first and then wait for the disk. */
  alone<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#alone.then(run);
    this.#alone = done.catch(() => {});
    return done;
  }

  get isDirty(): boolean {
    return this.record !== this.submitted && this.record !== undefined && !this.isGoing;
  }

  get isIdle(): boolean {
    return this.record === this.written && this.lease === undefined;
  }
}

interface Entry {
  readonly cell: Promise<ConsumerCell>;
  loaded?: ConsumerCell;
  users: number;
}

/** A change that concerns no session. */
export function withoutSession(namespace: string): Pick<Change, "key" | "events"> {
  return { key: { namespace, sessionId: "", uid: noUid }, events: [] };
}

/**
 * The consumers that are read or whose place is not written yet. All others are in the store alone, so
 * one that nobody reads takes no memory.
 *
 * Places are written together: those of all consumers that moved within a second in one change.
 */
export class ConsumerCells {
  readonly #store: Store;
  readonly #onError: (error: unknown) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #dirty = new Set<ConsumerCell>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(args: {
    store: Store;
    /** Hears why places could not be written; they are tried again. */
    onError: (error: unknown) => void;
  }) {
    this.#store = args.store;
    this.#onError = args.onError;
  }

  /**
   * Runs with the cell of a consumer, whether that exists or not. While it runs the cell stays the only
   * one of its consumer.
   *
   * Errors: DataLossError, and those of `run`.
   */
  async use<T>(name: ConsumerName, run: (cell: ConsumerCell) => T | Promise<T>): Promise<T> {
    const key = keyOf(name);
    const entry = this.#entries.get(key) ?? this.#load(key, name);
    entry.users += 1;
    try {
      return await run(entry.loaded ?? (await entry.cell));
    } finally {
      entry.users -= 1;
      if (this.#entries.get(key) === entry) this.#leave(key, entry);
    }
  }

  /** The cell of a consumer that is in memory. */
  known(name: ConsumerName): ConsumerCell | undefined {
    return this.#entries.get(keyOf(name))?.loaded;
  }

  /** Those in memory. */
  *loaded(): Generator<ConsumerCell> {
    for (const { loaded } of this.#entries.values()) if (loaded !== undefined) yield loaded;
  }

  /** Has the place of a cell written: soon, or at once when it has moved far. */
  moved(cell: ConsumerCell): void {
    if (!cell.isDirty) return;
    this.#dirty.add(cell);
    const [from, to] = [cell.submitted, cell.record];
    const distance = from && to ? placeOf(to).place - placeOf(from).place : 0;
    if (distance >= limits.consumerWritePlaces) this.#write();
    else this.#writeSoon();
  }

  /** The lease of a cell is over. */
  released(cell: ConsumerCell): void {
    const key = keyOf(cell.name);
    const entry = this.#entries.get(key);
    if (entry?.loaded === cell) this.#leave(key, entry);
  }

  /** Writes what is not written yet, and waits for it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#write();
    await this.#writing;
  }

  #load(key: string, name: ConsumerName): Entry {
    const cell = this.#store.getConsumer(name).then((record) => {
      const loaded = new ConsumerCell(name, record);
      entry.loaded = loaded;
      return loaded;
    });
    const entry: Entry = { cell, users: 0 };
    this.#entries.set(key, entry);
    return entry;
  }

  #leave(key: string, { users, loaded }: Entry): void {
    if (users === 0 && (loaded === undefined || loaded.isIdle)) this.#entries.delete(key);
  }

  #writeSoon(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => this.#write(), limits.consumerWriteMs);
    this.#timer.unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const cells = [...this.#dirty].filter((cell) => cell.isDirty);
    this.#dirty.clear();
    const [first] = cells;
    if (first === undefined) return;
    for (const cell of cells) cell.submitted = cell.record;
    // The calls give the order: a place that is written later is the newer one.
    const written = this.#submit(first.name.namespace, cells);
    this.#writing = Promise.all([this.#writing, written]);
  }

  async #submit(namespace: string, cells: readonly ConsumerCell[]): Promise<void> {
    const records = cells.map(({ name, record }) => ({
      ...name,
      record: record as ConsumerRecord,
    }));
    try {
      await this.#store.commit({ ...withoutSession(namespace), consumers: records });
      for (const [index, cell] of cells.entries()) cell.written = records[index]?.record;
    } catch (error) {
      for (const cell of cells) {
        if (cell.record === undefined || cell.isGoing) continue;
        cell.submitted = cell.written;
        this.#dirty.add(cell);
      }
      if (!(error instanceof WritesRefusedError)) this.#onError(error);
      this.#writeSoon();
    }
    for (const cell of cells) this.released(cell);
  }
}

function keyOf({ namespace, name }: ConsumerName): string {
  return `${namespace}/${name}`;
}
