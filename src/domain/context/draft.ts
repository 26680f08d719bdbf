import type { Dialect, RevisionRange } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import type { StoredSession } from "../../store/store.ts";
import type { Log } from "./event-cache.ts";
import type { Group } from "./groups.ts";
import type { Frame } from "./items.ts";
import type { Material } from "./material.ts";
import type { WindowPolicy } from "./policy.ts";
import type { Scope } from "./scope.ts";

/** What a window is asked for, with everything that was left out filled in. */
export interface Wish {
  readonly policy: WindowPolicy;
  readonly dialect: Dialect;
  readonly agent: string;
  readonly authors: readonly string[];
}

/** A session's window in the making. */
export interface Draft extends Wish {
  readonly stored: StoredSession;
  readonly state: ContextState;
  readonly log: Log;
  readonly scope: Scope;
  readonly frame: Frame;
  readonly material: Material;
  /** Groups of the material that the window may show. */
  readonly visible: readonly Group[];
  /** What the compaction in force covers. */
  readonly covered: readonly RevisionRange[];
}
