/** What a namespace may have. */
export interface Quota {
  /** Sessions that have not ended. Absent: any number. */
  readonly activeSessions?: number;
  /** What happens to a new session when there are so many. */
  readonly whenFull: "refuse" | "expire-longest-idle";
  /** Time without an event after which a session may be expired for a new one. */
  readonly minIdleMs: number;
  /** Bytes of all logs of the namespace. Absent: any number. */
  readonly storedBytes?: number;
}

/** Quota of a namespace; undefined: none. */
export type QuotaOf = (namespace: string) => Quota | undefined;
