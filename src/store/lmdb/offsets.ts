import { newestOffset } from "./swept-tables.ts";
import type { Table } from "./tables.ts";

interface Offsets {
  /** Newest offset given to a commit. */
  allocated: number;
  /** Newest offset on disk. */
  durable: number;
}

/**
 * Gives commits their places in the logs of their namespaces.
 *
 * Counts in memory, from the newest entry on disk at the first use of a namespace, because commits
 * under way are not on disk yet.
 */
export class NamespaceOffsets {
  readonly #log: Table;
  readonly #maxNamespaces: number;
  readonly #offsets = new Map<string, Offsets>();

  constructor(options: { log: Table; maxNamespaces: number }) {
    this.#log = options.log;
    this.#maxNamespaces = options.maxNamespaces;
  }

  durable(namespace: string): number {
    return this.#of(namespace).durable;
  }

  /** Offset of the next commit, without taking it. */
  next(namespace: string): number {
    return this.#of(namespace).allocated + 1;
  }

  /** Takes the next offsets. Their commit is under way, or the log would get a hole. */
  take(namespace: string, offsets: number): void {
    this.#of(namespace).allocated += offsets;
  }

  /** Notes that the commit with the offset is on disk. */
  settle(namespace: string, offset: number): void {
    this.#of(namespace).durable = offset;
  }

  #of(namespace: string): Offsets {
    const known = this.#offsets.get(namespace);
    if (known !== undefined) return known;
    this.#makeRoom();
    const newest = newestOffset(this.#log, namespace);
    const offsets = { allocated: newest, durable: newest };
    this.#offsets.set(namespace, offsets);
    return offsets;
  }

  /** Forgets the longest known namespace that has nothing under way. */
  #makeRoom(): void {
    if (this.#offsets.size < this.#maxNamespaces) return;
    for (const [namespace, { allocated, durable }] of this.#offsets) {
      if (allocated !== durable) continue;
      this.#offsets.delete(namespace);
      return;
    }
  }
}
