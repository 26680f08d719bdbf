import { create } from "@bufbuild/protobuf";
import type { Event } from "@sessiond/contract";
import { type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import { DataLossError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { sizeOf, withSize } from "../../store/encoded.ts";
import { placesOf, readCheckpoint, readLog } from "../../store/log.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { StateBuilder, stateOf } from "../context/state.ts";
import { Counts } from "../counts.ts";

/**
 * The head of a session as it was at a revision of its log. What was learnt since stays known: the
 * tokens of its instructions as they are, and how far counts for its model are off.
 *
 * Reads the checkpoint before the revision and the events from there. Errors: DataLossError.
 */
export async function headAt(
  store: Store,
  stored: StoredSession,
  revision: number,
): Promise<SessionHead> {
  const { session, head: newest } = stored;
  if (revision === newest.revision) return newest;
  const log = placesOf(stored);
  const checkpoint = await readCheckpoint(store, { log, atMost: revision });
  let head = checkpoint ?? emptyHead(session);
  while (head.revision < revision) {
    const events = await readLog(store, {
      log,
      first: head.revision + 1,
      last: revision,
      maxEvents: limits.pageSize,
      maxBytes: limits.pageBytes,
    });
    head = replay(head, events, session.sessionId);
  }
  const { instructionTokens, toolTokens, countedOutputTokens, reportedOutputTokens } =
    stateOf(stored);
  return {
    ...head,
    context: {
      ...stateOf({ head }),
      instructionTokens,
      toolTokens,
      countedOutputTokens,
      reportedOutputTokens,
    },
  };
}

/** The head behind events that follow it in the log. Pure. */
function replay(head: SessionHead, events: readonly Event[], sessionId: string): SessionHead {
  const last = events.at(-1);
  if (last === undefined) throw new DataLossError({ record: `event ${head.revision + 1}` });
  const counts = new Counts(head);
  const context = new StateBuilder({
    sessionId,
    before: head.context,
    windowTokens: head.windowTokens,
    // What protected an event then does so now, whatever the rules say by now.
    ruleReason: ({ protection }) => protection?.reason,
  });
  for (const stored of events) {
    // It is the one that was stored, number for number.
    const event = withSize({ ...stored }, sizeOf(stored));
    counts.number(event);
    context.place(event);
    counts.add(event, context.closed);
  }
  return {
    ...head,
    ...counts.fields,
    context: context.state,
    windowTokens: context.windowTokens,
    ...(last.createTime && { lastActivityTime: last.createTime }),
  };
}

/** The head of a session before its first event. */
function emptyHead({ createTime }: StoredSession["session"]): SessionHead {
  return create(SessionHeadSchema, {
    ...(createTime && { lastActivityTime: createTime }),
    metrics: { tokens: {} },
    context: {},
  });
}
