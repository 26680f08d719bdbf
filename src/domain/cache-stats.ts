/** What a cache has done since the start, and what it holds now. */
export interface CacheStats {
  /** Look-ups that it could answer. */
  readonly hits: number;
  /** Look-ups for which something was read or worked out. */
  readonly misses: number;
  /** What it holds, each of which comes and goes as a whole. Absent: not known. */
  readonly entries?: number;
  /** Memory that takes, as estimated. Absent: not known. */
  readonly bytes?: number;
  /** Most it may take. Absent: it has no bound of its own. */
  readonly limitBytes?: number;
}

/** Something that keeps what it would otherwise read or work out again. */
export interface Cache {
  readonly stats: CacheStats;
}

/**
 * The caches of a server: heads of sessions, events for windows, token counts, and indexes for
 * windows with a query.
 */
export type Caches = Readonly<Record<"heads" | "windows" | "tokens" | "search", Cache>>;
