import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import { parseRollupKey, rollupKey, rollupPrefix } from "../../store/keys.ts";
import type { RecordRange, RollupKey, Store } from "../../store/store.ts";
import { noUid } from "../session-cells.ts";
import { Turns } from "../turns.ts";
import { hourMs } from "./log-facts.ts";

/** Records looked for in one turn of the event loop. */
const pageRecords = 256;
const parts = ["counters", "sessions", "steps"] as const;

/**
 * Removes what was counted of a user by name. The namespace's sums and those of agents and labels keep it:
 * they name nobody. Can be repeated. Errors: those of `Store.commit`.
 */
export async function forgetUser(
  { store, clock }: { store: Store; clock: Clock },
  { namespace, userId }: { namespace: string; userId: string },
): Promise<void> {
  const series = { namespace, dimension: "user", label: "", value: userId } as const;
  const nowHour = Math.floor(clock() / hourMs);
  const firstHour = Math.max(0, nowHour - Math.ceil(limits.rollupTtlMs / hourMs) - 48);
  const turns = new Turns();
  for (const part of parts) {
    // Records of one hour lie side by side, those of one user do not.
    for (let hour = firstHour; hour <= nowHour; hour += pageRecords) {
      const keys: RollupKey[] = [];
      for (let each = hour; each < hour + pageRecords && each <= nowHour; each++) {
        keys.push({ ...series, part, hour: each });
      }
      const ranges = keys.map((key): RecordRange => {
        return { table: "rollups", prefix: rollupKey(key), limit: 1 };
      });
      const found = await store.records(...ranges);
      await remove(store, namespace, keysIn(found.flat(), userId));
      await turns.yield();
    }
    // What an import brought of a clock that was ahead: little, if anything.
    const prefix = rollupPrefix({ ...series, part });
    let after: Uint8Array | undefined = rollupKey({ ...series, part, hour: nowHour });
    while (after !== undefined) {
      const [page]: readonly [readonly { readonly key: Uint8Array }[]] = await store.records({
        table: "rollups",
        prefix,
        after,
        limit: pageRecords,
      });
      await remove(store, namespace, keysIn(page, userId));
      after = page.at(-1)?.key;
      await turns.yield();
    }
  }
}

function keysIn(records: readonly { readonly key: Uint8Array }[], userId: string): RollupKey[] {
  return records.map(({ key }) => parseRollupKey(key)).filter(({ value }) => value === userId);
}

async function remove(store: Store, namespace: string, removes: RollupKey[]): Promise<void> {
  if (removes.length === 0) return;
  const key = { namespace, sessionId: "", uid: noUid };
  await store.commit({ key, events: [], rollups: { series: [], facts: [], active: [], removes } });
}
