import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Event, Role, type TokenCount } from "@sessiond/contract";
import type { StoredSession } from "../store/store.ts";
import { type ReasonOf, StateBuilder } from "./context/state.ts";
import { Counts } from "./counts.ts";
import { withCheckpoint } from "./history/checkpoints.ts";
import { traitsOf } from "./payloads.ts";

/** What a decision leads to; the first half of a `Change`. */
export interface Outcome {
  readonly after: StoredSession;
  /** Events to store, numbered. */
  readonly events: readonly Event[];
}

/** An event to append and the tokens of its text. */
export interface EventDraft {
  readonly event: Event;
  readonly tokens?: TokenCount;
  /** The count as it would be without what providers reported, if that is another. */
  readonly counted?: TokenCount;
}

const noRules: ReasonOf = () => undefined;

/**
 * Numbers events (revision, turn, step, time), places them in groups, and counts them into the head.
 *
 * Errors: ProtectedBudgetExceededError.
 */
export function record(
  before: StoredSession,
  drafts: readonly EventDraft[],
  nowMs: number,
  ruleReason: ReasonOf = noRules,
): Outcome {
  // Thinking that a policy leaves out is no event, and so no activity.
  if (drafts.length === 0) return { after: before, events: [] };
  const { session, head } = before;
  const lastMs = head.lastActivityTime ? timestampMs(head.lastActivityTime) : 0;
  // A clock that was set back does not make the session's time run backwards.
  const createTime = timestampFromMs(Math.max(nowMs, lastMs));
  const counts = new Counts(head);
  const context = new StateBuilder({
    sessionId: session.sessionId,
    before: head.context,
    windowTokens: head.windowTokens,
    ruleReason,
  });
  const events = drafts.map(({ event: draft, tokens, counted }) => {
    const role = draft.role === Role.UNSPECIFIED ? traitsOf(draft).role : draft.role;
    const event: Event = { ...draft, role, createTime };
    if (tokens !== undefined) event.tokens = tokens;
    counts.number(event);
    context.place(event);
    if (counted !== undefined) context.learn(event, counted);
    counts.add(event, context.closed);
    return event;
  });
  const recorded = {
    ...head,
    ...counts.fields,
    context: context.state,
    windowTokens: context.windowTokens,
    lastActivityTime: createTime,
  };
  return { after: { session, head: withCheckpoint(recorded) }, events };
}

/** The events of an append without the end that it led to. */
export function withoutEnd(events: readonly Event[]): readonly Event[] {
  return events.at(-1)?.payload.case === "sessionEnded" ? events.slice(0, -1) : events;
}
