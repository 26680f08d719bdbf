import type { Event } from "@sessiond/contract";
import type { Hidden } from "../../history/visible.ts";
import { GroupList } from "./group-list.ts";
import type { Hit, Neighbours, Retriever, SearchOptions } from "./retriever.ts";
import { search } from "./search.ts";
import { passageTerms, Segment } from "./segment.ts";
import { termsOf } from "./terms.ts";
import { textsOf } from "./texts.ts";
import type { Turns } from "./turns.ts";

/** Which end of an index grows. */
export type End = "older" | "newer";

/** Estimate of what an index takes beside its segments, by itself and for each group. */
const ownBytes = 4_096;
const groupBytes = 64;

/** An index of a stretch of one session's log by the words in it. It grows at both ends. */
export class SessionIndex implements Retriever {
  /** Oldest first. Replaced when it changes, so that a search goes on with what it began with. */
  #segments: readonly Segment[] = [];
  readonly #groups = new GroupList();
  readonly #turns: Turns;
  #first: number;
  #last: number;

  /** Empty, and beginning behind a revision. */
  constructor(options: { after: number; turns: Turns }) {
    this.#turns = options.turns;
    this.#first = options.after + 1;
    this.#last = options.after;
  }

  get first(): number {
    return this.#first;
  }

  get last(): number {
    return this.#last;
  }

  get bytes(): number {
    const segments = this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
    return ownBytes + segments + groupBytes * this.#groups.length;
  }

  neighbours(group: number, hidden?: Hidden): Neighbours {
    return this.#groups.neighbours(group, hidden);
  }

  search(query: string, options: SearchOptions): Promise<Hit[]> {
    const tokens = (group: number) => this.#groups.tokens(group);
    return search(this.#segments, query, { ...options, tokens, turns: this.#turns });
  }

  /** Takes the event next to one of its ends, in small pieces of work between which it yields. */
  *add(event: Event, end: End): Generator<void, void, undefined> {
    const { group, revision } = event;
    if (group !== 0) {
      this.#groups.add({ group, revision, tokens: event.tokens?.count ?? 0 }, end);
      let terms: string[] = [];
      for (const text of textsOf(event)) {
        for (const term of termsOf(text)) {
          terms.push(term);
          if (terms.length < passageTerms) continue;
          this.#open(end).add({ group, revision, terms });
          terms = [];
          yield;
        }
      }
      if (terms.length > 0) this.#open(end).add({ group, revision, terms });
    }
    if (end === "older") this.#first = revision;
    else this.#last = revision;
  }

  /** Forgets its oldest segment; false when that is its only one. */
  dropOldest(): boolean {
    const [oldest, ...others] = this.#segments;
    if (oldest === undefined || others.length === 0) return false;
    this.#segments = others;
    this.#first = Math.max(this.#first, oldest.last + 1);
    this.#groups.dropBefore(this.#first);
    return true;
  }

  /** Forgets oldest segments that hold nothing from a revision on. */
  dropBefore(revision: number): void {
    while ((this.#segments[0]?.last ?? revision) < revision && this.dropOldest());
  }

  #open(end: End): Segment {
    const open = this.#segments.at(end === "older" ? 0 : -1);
    if (open !== undefined && !open.isFull) return open;
    const segment = new Segment();
    this.#segments = end === "older" ? [segment, ...this.#segments] : [...this.#segments, segment];
    return segment;
  }
}
