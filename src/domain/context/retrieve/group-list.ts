import type { GroupSize, Neighbours } from "./retriever.ts";

/**
 * The groups of a stretch of a log in their order, with their sizes; it grows at both ends.
 *
 * A group counts from its first event on; tokens of its other events may come before or after it.
 */
export class GroupList {
  /** Newest first: what was added at the old end. Then, oldest first, what was added at the new end. */
  #older: number[] = [];
  #newer: number[] = [];
  readonly #tokens = new Map<number, number>();

  get length(): number {
    return this.#older.length + this.#newer.length;
  }

  /** Adds an event's tokens to its group, and the group when the event is its first. */
  add(event: { group: number; revision: number; tokens: number }, end: "older" | "newer"): void {
    const { group, revision, tokens } = event;
    this.#tokens.set(group, this.tokens(group) + tokens);
    if (group !== revision) return;
    if (end === "older") this.#older.push(group);
    else this.#newer.push(group);
  }

  tokens(group: number): number {
    return this.#tokens.get(group) ?? 0;
  }

  has(group: number): boolean {
    return this.#at(this.#place(group)) === group;
  }

  neighbours(group: number): Neighbours {
    const place = this.#place(group);
    if (this.#at(place) !== group) return {};
    const before = this.#at(place - 1);
    const after = this.#at(place + 1);
    return {
      ...(before === undefined ? {} : { before: this.#size(before) }),
      ...(after === undefined ? {} : { after: this.#size(after) }),
    };
  }

  /** Forgets groups that begin before a revision. */
  dropBefore(revision: number): void {
    const dropped = this.#place(revision);
    for (let place = 0; place < dropped; place++) this.#tokens.delete(this.#at(place) ?? 0);
    const fromNewer = Math.max(0, dropped - this.#older.length);
    this.#older.length -= dropped - fromNewer;
    this.#newer.splice(0, fromNewer);
  }

  #size(group: number): GroupSize {
    return { group, tokens: this.tokens(group) };
  }

  #at(place: number): number | undefined {
    const { length } = this.#older;
    return place < length ? this.#older[length - 1 - place] : this.#newer[place - length];
  }

  /** Place of the first group that begins at a revision or behind it. */
  #place(revision: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#at(middle) ?? 0) < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
