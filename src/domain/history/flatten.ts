import type { Event } from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import { NotSupportedError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { sizeOf } from "../../store/encoded.ts";
import { type LogPlaces, placesOf, readCheckpoint, readLog } from "../../store/log.ts";
import type { Change, Store } from "../../store/store.ts";
import type { Outcome } from "../record.ts";

/** A fork, and the events that it takes over as copies, with the heads that were kept behind them. */
export type ForkOutcome = Outcome & Pick<Change, "copies" | "checkpoints">;

/**
 * A fork whose log is in few enough segments: of one that would be in more, the newest of them are
 * copied. They are those that a chain of forks made one after another, and mostly short.
 *
 * Errors: NotSupportedError when there is too much to copy; DataLossError.
 */
export async function flattened(store: Store, fork: Outcome): Promise<ForkOutcome> {
  const { session, head } = fork.after;
  const { inherited } = head;
  if (inherited.length <= limits.logSegments) return fork;
  const kept = inherited.slice(0, limits.logSegments / 2);
  const log = placesOf(fork.after);
  const last = inherited.at(-1)?.lastRevision ?? 0;
  const copies: Event[] = [];
  let bytes = 0;
  for (let next = (kept.at(-1)?.lastRevision ?? 0) + 1; next <= last; ) {
    const range = {
      log,
      first: next,
      last,
      maxEvents: limits.pageSize,
      maxBytes: limits.pageBytes,
    };
    const events = await readLog(store, range);
    bytes += events.reduce((sum, event) => sum + sizeOf(event), 0);
    if (events.length === 0 || bytes > limits.forkCopyBytes) {
      throw new NotSupportedError(
        `session "${session.sessionId}" would share events of ${inherited.length} logs, and those of the newest are too many to copy; fork an older session of the chain`,
      );
    }
    copies.push(...events);
    next += events.length;
  }
  const inheritedBytes = head.inheritedBytes - bytes;
  return {
    ...fork,
    after: { session, head: { ...head, inherited: kept, inheritedBytes } },
    copies,
    checkpoints: await checkpointsIn(store, { log, first: copies[0]?.revision ?? last, last }),
  };
}

/**
 * The checkpoints of a part of a log, newest first: some of its events are told whole by none but these.
 * Errors: DataLossError.
 */
async function checkpointsIn(
  store: Store,
  { log, first, last }: { log: LogPlaces; first: number; last: number },
): Promise<SessionHead[]> {
  const found: SessionHead[] = [];
  for (let atMost = last; atMost >= first; ) {
    const head = await readCheckpoint(store, { log, atMost });
    if (head === undefined || head.revision < first) break;
    found.push(head);
    atMost = head.revision - 1;
  }
  return found;
}
