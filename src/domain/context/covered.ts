import type { CompactionState, ContextState } from "@sessiond/contract/store";
import { withAmendments } from "./amendment-view.ts";
import type { EventCache, Log } from "./event-cache.ts";
import { readGroup } from "./material.ts";
import { shownTokensOf } from "./state.ts";

/** A compaction covers a group: windows show it only if it is protected. */
export function isCovered(group: number, compaction: CompactionState | undefined): boolean {
  if (compaction === undefined) return false;
  return group <= compaction.coveredThrough && !compaction.sparedGroups.includes(group);
}

/**
 * Tokens that covered groups have where protection brings them back, by their first revisions;
 * tool results count whole. Errors: DataLossError.
 */
export async function coveredTokens(args: {
  cache: EventCache;
  log: Log;
  state: ContextState;
  groups: Iterable<number>;
}): Promise<Map<number, number>> {
  const { cache, log, state, groups } = args;
  const tokens = new Map<number, number>();
  for (const first of groups) {
    if (tokens.has(first) || !isCovered(first, state.compaction)) continue;
    const members = await readGroup({ cache, log, state, first, before: log.head + 1 });
    const events = await withAmendments(members, { cache, log, state });
    tokens.set(
      first,
      events.reduce((sum, event) => sum + shownTokensOf(event), 0),
    );
  }
  return tokens;
}
