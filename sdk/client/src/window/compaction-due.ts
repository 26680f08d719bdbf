import type { Compaction, CompactionDue as DueMessage, Event } from "@sessiond/contract";
import type { ClientContext } from "../context.ts";
import { CompactionStaleError, SessionEndedError } from "../errors/server-errors.ts";
import { listEvents } from "../event-list.ts";
import { type EventType, type SessionEvent, toSessionEvent } from "../session-event.ts";
import { Watch } from "../watch.ts";
import { submitSummary } from "./compaction.ts";
import { type RevisionRange, toRange } from "./context-window.ts";

/** A compaction that waits for its summary. */
export interface CompactionDue {
  /** Revision of the `compactionDue` event. */
  readonly revision: number;
  /** Summary in force, which the new one is to absorb; empty when there is none. */
  readonly previousSummary: string;
  /** Tokens the summary may have. */
  readonly maxSummaryTokens: number;
  /** Revisions the summary will stand for, with those that `previousSummary` stands for. */
  readonly covered: readonly RevisionRange[];
  /** Reads the events to summarise, oldest first: those that are in no compaction yet. */
  events(): AsyncIterable<SessionEvent>;
}

/** Makes the summary of a compaction that is due. */
export type Summarise = (due: CompactionDue) => string | Promise<string>;

export interface CompactionDueOptions {
  /** Ends the waiting, without an error. */
  readonly signal?: AbortSignal | undefined;
}

/*
 * 1. Watch the session from now on.
 * 2. Answer what was announced before that and is still open: the newest event about compactions
 *    tells.
 * 3. Answer what the watch brings, one after the other.
 */

/** Answers compactions as they become due. `Session.onCompactionDue` documents it. */
export async function onCompactionDue(
  context: ClientContext,
  { sessionId, summarise }: { sessionId: string; summarise: Summarise },
  { signal }: CompactionDueOptions,
): Promise<void> {
  const items = ({ events }: { events: Event[] }) => events.map(toSessionEvent);
  const source = { sessionId, untilEnded: true, items };
  const watch = new Watch(context, source, { from: "now", signal });
  let answered = 0;
  const answer = async (event: SessionEvent) => {
    const { payload } = event.message;
    if (payload.case !== "compactionDue" || event.revision <= answered) return;
    answered = event.revision;
    const due = toDue(context, sessionId, { revision: event.revision, message: payload.value });
    const summary = await summarise(due);
    const reply = { sessionId, dueRevision: due.revision, summary };
    try {
      await submitSummary(context, reply, { signal });
    } catch (error) {
      // Somebody else answered, or the window changed: a newer event says what is due now.
      if (!(error instanceof CompactionStaleError)) throw error;
    }
  };
  try {
    await watch.open();
    const pending = await newestOf(context, sessionId, { types: windowEvents });
    if (pending !== undefined) await answer(pending);
    for await (const event of watch) await answer(event);
  } catch (error) {
    if (!signal?.aborted && !(error instanceof SessionEndedError)) throw error;
  } finally {
    await watch.close();
  }
}

/** What is in force: the newest of these says it. */
const compactions: ReadonlySet<EventType | undefined> = new Set([
  "compaction",
  "compactionReverted",
]);
const windowEvents: ReadonlySet<EventType | undefined> = new Set([...compactions, "compactionDue"]);

function toDue(
  context: ClientContext,
  sessionId: string,
  { revision, message }: { revision: number; message: DueMessage },
): CompactionDue {
  const covered = message.covered.map(toRange);
  return {
    revision,
    previousSummary: message.previousSummary,
    maxSummaryTokens: message.maxSummaryTokens,
    covered,
    async *events() {
      const before = await inForce(context, sessionId, revision - 1);
      for (const { first, last } of without(covered, before?.covered ?? [])) {
        for await (const event of listEvents(context, sessionId, { first, last, pageSize })) {
          // Records of the session itself belong to no group, and no window shows them.
          if (event.message.group > 0) yield event;
        }
      }
    },
  };
}

/** The compaction that was in force at a revision. */
async function inForce(
  context: ClientContext,
  sessionId: string,
  revision: number,
): Promise<Compaction | undefined> {
  const newest = await newestOf(context, sessionId, { types: compactions, last: revision });
  const payload = newest?.message.payload;
  if (payload?.case === "compaction") return payload.value;
  if (payload?.case !== "compactionReverted") return undefined;
  const reverted = await compactionAt(context, sessionId, payload.value.revision);
  const previous = reverted?.previousRevision ?? 0;
  return previous === 0 ? undefined : compactionAt(context, sessionId, previous);
}

async function compactionAt(
  context: ClientContext,
  sessionId: string,
  revision: number,
): Promise<Compaction | undefined> {
  const { items } = await listEvents(context, sessionId, { first: revision, last: revision });
  const payload = items[0]?.message.payload;
  return payload?.case === "compaction" ? payload.value : undefined;
}

/** Sessions that are compacted at all have few events between one compaction and the next. */
async function newestOf(
  context: ClientContext,
  sessionId: string,
  { types, last }: { types: ReadonlySet<EventType | undefined>; last?: number },
): Promise<SessionEvent | undefined> {
  const query = { order: "newest", pageSize, last } as const;
  for await (const event of listEvents(context, sessionId, query)) {
    if (types.has(event.type)) return event;
  }
  return undefined;
}

const pageSize = 200;

/** The parts of ranges that are in none of the others. */
function without(
  ranges: readonly RevisionRange[],
  others: readonly RevisionRange[],
): readonly RevisionRange[] {
  return others.reduce(
    (left, { first, last }) =>
      left
        .flatMap((range) => [
          { first: range.first, last: Math.min(range.last, first - 1) },
          { first: Math.max(range.first, last + 1), last: range.last },
        ])
        .filter((range) => range.first <= range.last),
    ranges,
  );
}
