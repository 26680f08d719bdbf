import { setImmediate as nextTurn } from "node:timers/promises";
import { SessionState } from "@sessiond/contract";
import type { SessionIndex, SessionPosition, Store, StoredSession } from "../../store/store.ts";
import type { SessionCells } from "../session-cells.ts";
import { positionOf } from "../session-list.ts";

/** Sessions read at once; other calls get their turn in between. */
const chunk = 256;

const active: readonly SessionIndex[] = [
  { by: "state", value: SessionState.CREATED },
  { by: "state", value: SessionState.ACTIVE },
];

/**
 * What a ledger begins with, as it is durable: the sessions of a namespace that have not ended, or all
 * of them where bytes are counted.
 *
 * Errors: those of `Store.listSessions`.
 */
export async function readLedger(args: {
  store: Store;
  cells: SessionCells;
  namespace: string;
  storedBytes?: number;
}): Promise<StoredSession[]> {
  const { store, cells, namespace, storedBytes } = args;
  const sessions: StoredSession[] = [];
  for (const index of storedBytes === undefined ? active : [{ by: "all" } as const]) {
    let after: SessionPosition | undefined;
    for (;;) {
      const query = { namespace, index, limit: chunk, ...(after && { after }) };
      const page = await store.listSessions(query);
      for (const stored of page) {
        const durable = cells.durable(stored);
        if (durable !== undefined) sessions.push(durable);
      }
      const last = page.at(-1);
      if (last === undefined) break;
      after = positionOf(last);
      await nextTurn();
    }
  }
  return sessions;
}
