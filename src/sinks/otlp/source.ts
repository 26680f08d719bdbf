import type { Event, SessionParentKind } from "@sessiond/contract";

/**
 * What a trace needs to know of a session beside its events, as the sink may have it. Plain, because it
 * goes to a thread.
 */
export interface SessionFacts {
  readonly agentId: string;
  readonly model: string;
  /** Of its own log: behind what a fork shares with its parent. */
  readonly firstRevision: number;
  /** Absent: nobody's child or fork. */
  readonly parent?: {
    readonly sessionId: string;
    readonly uid: string;
    readonly revision: number;
    /** Of the parent's own log. */
    readonly firstRevision: number;
    readonly kind: SessionParentKind;
  };
  /** Tokens that providers reported for it by now. */
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Events between two revisions, both included, of a session's own log. */
export interface OwnRange {
  readonly sessionId: string;
  readonly uid: string;
  readonly first: number;
  readonly last: number;
}

/** Where what is no more in memory can be looked up. */
export interface SessionSource {
  /** The session as it is now. Undefined: it was deleted, or has another name. */
  session(name: {
    namespace: string;
    sessionId: string;
    uid: string;
  }): Promise<SessionFacts | undefined>;
  /**
   * Events of a session's own log, the newest of them when they are too many, as the sink may have them.
   * Those that are gone or damaged are missing.
   */
  events(range: OwnRange): Promise<readonly Event[]>;
}
