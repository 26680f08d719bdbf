import { setImmediate as nextTurn } from "node:timers/promises";
import { SessionState } from "@sessiond/contract";
import type { SessionIndex, SessionPosition, Store, StoredSession } from "../../store/store.ts";
import type { SessionCells } from "../session-cells.ts";
import { walk, walkChunk } from "../session-walk.ts";

const active: readonly SessionIndex[] = [
  { by: "state", value: SessionState.CREATED },
  { by: "state", value: SessionState.ACTIVE },
];

/**
 * Reads what a ledger begins with, as it is durable: the sessions of a namespace that have not ended,
 * or all of them where bytes are counted. None is kept here.
 *
 * Errors: those of `Store.listSessions`.
 */
export async function readSessions(args: {
  store: Store;
  cells: SessionCells;
  namespace: string;
  nowMs: number;
  storedBytes?: number;
  take: (stored: StoredSession) => void;
}): Promise<void> {
  const { store, cells, namespace, nowMs, storedBytes, take } = args;
  for (const index of storedBytes === undefined ? active : [{ by: "all" } as const]) {
    for (let after: SessionPosition | undefined, isLast = false; !isLast; ) {
      const query = { namespace, index, limit: walkChunk, ...(after && { after }) };
      const seen = await walk({ store, cells, query, nowMs });
      for (const { current } of seen) if (current !== undefined) take(current);
      after = seen.at(-1)?.position;
      isLast = seen.length < walkChunk;
      await nextTurn();
    }
  }
}
