import type { StoreFinding } from "@sessiond/contract";
import type { Store } from "../../../store/store.ts";
import type { Pace } from "./pace.ts";
import type { RollupRecount, rolledUp } from "./rollups.ts";
import type { UidTable } from "./uid-table.ts";

/** Found while something was looked at. */
export interface Findings {
  readonly findings: readonly StoreFinding[];
}

/** Said at the end of a piece in which nothing was found. */
export const nothing: Findings = { findings: [] };

/** One run through a store: what it is made with, and what it has counted up to now. */
export interface Run {
  readonly store: Store;
  readonly pace: Pace;
  /** Every head there was, filled by the first phase. */
  readonly uids: UidTable;
  /** Uids of sessions that were renamed or deleted since the run began. */
  readonly moved: Moved;
  /** What logs and sessions come to, filled by the phases that read them. */
  readonly recount: RollupRecount;
  /** What the rollups said before anything else was read. */
  rolledUpBefore: Awaited<ReturnType<typeof rolledUp>>;
  /** Nothing was committed since the run began. */
  readonly isUnchanged: () => boolean;
  /** What could not be looked at, in words. */
  readonly notChecked: Set<string>;
  records: number;
  sessions: number;
  events: number;
  namespaces: number;
}

/** More are not remembered; then any may have moved. */
const maxMoved = 200_000;

/** Uids of sessions that lost their name, or all, while a run goes on. */
export class Moved {
  readonly #uids = new Set<string>();

  get size(): number {
    return this.#uids.size;
  }

  add(uid: string): void {
    if (this.#uids.size < maxMoved) this.#uids.add(uid);
  }

  has(uid: string): boolean {
    return this.#uids.size >= maxMoved || this.#uids.has(uid);
  }
}
