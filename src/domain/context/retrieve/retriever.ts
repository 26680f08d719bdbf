import type { Hidden } from "../../history/visible.ts";

/** A group that fits a query. */
export interface Hit {
  /** Its first revision. */
  readonly group: number;
  /** How well it fits, above 0. Comparable within one search only. */
  readonly score: number;
  /** Tokens of its indexed events, as they were counted when they were appended. */
  readonly tokens: number;
}

/** The groups beside a group in the log. */
export interface Neighbours {
  readonly before?: GroupSize;
  readonly after?: GroupSize;
}

export interface GroupSize {
  /** Its first revision. */
  readonly group: number;
  readonly tokens: number;
}

/**
 * Finds the groups of one session that fit a query: by their words here, by embeddings elsewhere.
 *
 * The same log and query give the same hits in the same order. Never blocks the event loop for long,
 * however many events and words there are.
 */
export interface Retriever {
  /** Groups that fit the query, best first, at most `limit`. */
  search(query: string, options: SearchOptions): Promise<readonly Hit[]>;
  /** The groups beside a group, where the index holds them. `hidden`: groups that are passed over. */
  neighbours(group: number, hidden?: Hidden): Neighbours;
  /** The index holds every event from this revision to `last`. Above `last`: it holds none. */
  readonly first: number;
  readonly last: number;
  /** Estimate of the memory it takes. */
  readonly bytes: number;
}

export interface SearchOptions {
  /** Only groups that begin before this revision. */
  readonly before: number;
  readonly limit: number;
  /** Groups that begin in these are left out. Default: none. */
  readonly hidden?: Hidden;
}
