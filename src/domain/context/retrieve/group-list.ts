import { type Hidden, hiding } from "../../history/visible.ts";
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

  neighbours(group: number, hidden: Hidden = []): Neighbours {
    const place = this.#place(group);
    if (this.#at(place) !== group) return {};
    const before = this.#shown(place - 1, "before", hidden);
    const after = this.#shown(place + 1, "after", hidden);
    return { ...(before && { before }), ...(after && { after }) };
  }

  /** Forgets groups that begin before a revision. */
  dropBefore(revision: number): void {
    const dropped = this.#place(revision);
    for (let place = 0; place < dropped; place++) this.#tokens.delete(this.#at(place) ?? 0);
    const fromNewer = Math.max(0, dropped - this.#older.length);
    this.#older.length -= dropped - fromNewer;
    this.#newer.splice(0, fromNewer);
  }

  /** The group at a place, or the next one on that side which is not hidden. */
  #shown(place: number, side: keyof Neighbours, hidden: Hidden): GroupSize | undefined {
    for (let at = place; ; ) {
      const group = this.#at(at);
      if (group === undefined) return undefined;
      const range = hiding(hidden, group);
      if (range === undefined) return { group, tokens: this.tokens(group) };
      at = side === "before" ? this.#place(range.first) - 1 : this.#place(range.last + 1);
    }
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
