import { type Session, SessionSchema } from "@sessiond/contract";
import { DataLossError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { RollupChange, Store } from "../../store/store.ts";
import { decoded } from "../upkeep/verify/walk.ts";
import { type Contributions, countCreation, firstOwnRevision } from "./contributions.ts";
import { LogFacts } from "./log-facts.ts";

const lastRevision = 0xffff_ffff;
/** Sessions whose facts are written together. */
const pieceSessions = 64;

/**
 * Counts the sessions of a store that was written before there were rollups, from their logs, under the
 * agents, users and labels they have now. What was deleted by then is not counted. Gives how many there were;
 * undefined: all were counted before. Begins where it was interrupted.
 *
 * Errors: those of `Store.countStored`.
 */
export async function countStored(
  store: Store,
  contributions: Contributions,
): Promise<number | undefined> {
  const begin = store.uncounted();
  if (begin === undefined) return undefined;
  let sessions = 0;
  for (let after = begin; ; ) {
    const [page] = await store.records({
      table: "sessions",
      limit: pieceSessions,
      ...(after.length > 0 && { after }),
    });
    const last = page.at(-1);
    if (last === undefined) {
      await store.countStored({ rollups: [] });
      return sessions;
    }
    const rollups: RollupChange[] = [];
    for (const record of page) {
      const session = decoded(SessionSchema, record);
      if (session === undefined) continue;
      sessions += 1;
      rollups.push(contributions.whole(session, await factsOf(store, session)));
    }
    after = last.key;
    await store.countStored({ rollups, through: after });
  }
}

/** What a session and its own log count for, as far as that can be read. */
async function factsOf(store: Store, session: Session) {
  const facts = new LogFacts({ startTime: session.startTime });
  countCreation(facts, session);
  try {
    for (let first = firstOwnRevision(session); ; ) {
      const events = await store.readEvents({
        uid: session.uid,
        first,
        last: lastRevision,
        maxEvents: limits.pageSize,
        maxBytes: limits.pageBytes,
      });
      const newest = events.at(-1);
      if (newest === undefined) break;
      for (const event of events) facts.add(event);
      first = newest.revision + 1;
    }
  } catch (error) {
    if (!(error instanceof DataLossError)) throw error;
  }
  return facts.hours;
}
