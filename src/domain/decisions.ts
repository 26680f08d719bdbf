import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  EventSchema,
  type Session,
  SessionSchema,
  SessionState,
  type TokenCount,
  type TraceContext,
} from "@sessiond/contract";
import { type SessionHead, SessionHeadSchema } from "@sessiond/contract/store";
import { InvalidFieldError } from "../errors.ts";
import type { StoredSession } from "../store/store.ts";
import type { InstructionCounts } from "./context/instruction-sizes.ts";
import { deadCallResults } from "./context/leases.ts";
import { type Reencoded, reencoded } from "./context/reencoding.ts";
import { type ReasonOf, stateOf } from "./context/state.ts";
import { type DueCause, dueOf } from "./lifecycle/due.ts";
import { withinHealth } from "./lifecycle/health.ts";
import { requireActive, settled } from "./lifecycle/lapse.ts";
import { withinLimits } from "./lifecycle/limits.ts";
import { bumped, startSession, withDueTime } from "./lifecycle/transitions.ts";
import { type EventDraft, type Outcome, record } from "./record.ts";

/*
 * Decisions are pure: from a session, a command and the time to the session and events that
 * follow. Whether and when they are stored is the caller's business.
 */

/**
 * Makes a session from the caller's fields, ACTIVE with `session_started` as its first event, or
 * CREATED with an empty log when its start is deferred.
 */
export function createSession(
  fields: Session,
  args: {
    uid: string;
    nowMs: number;
    deferredStart: boolean;
    /** Tokens of instructions and tools. Default: there are none. */
    instructions?: InstructionCounts;
    /** Of the work that starts it. Default: none. */
    trace?: TraceContext | undefined;
  },
): Outcome {
  const { uid, nowMs, deferredStart, instructions, trace } = args;
  const now = timestampFromMs(nowMs);
  const session = create(SessionSchema, {
    ...fields,
    uid,
    state: SessionState.CREATED,
    createTime: now,
    updateTime: now,
    etag: "1",
  });
  const head = create(SessionHeadSchema, {
    lastActivityTime: now,
    metrics: { tokens: {} },
    context: { ...instructions },
  });
  const created = withDueTime({ session, head });
  return deferredStart ? { after: created, events: [] } : startSession(created, nowMs, trace);
}

/**
 * Appends what a caller sends, starting a session that was not started. Calls that are dead by now
 * are closed in front of it, and a session whose limit it reaches, or whose health it ruins, ends behind
 * it: between the two, see `withoutEnd`, the caller's events are the last ones of the outcome.
 *
 * Errors: SessionEndedError, also when its time has come; ProtectedBudgetExceededError.
 */
export function appendEvents(
  before: StoredSession,
  drafts: readonly EventDraft[],
  nowMs: number,
  ruleReason?: ReasonOf,
): Outcome {
  const closing = deadCallResults(before, drafts, nowMs);
  const outcome = append(before, [...closing, ...drafts], nowMs, ruleReason);
  return withinHealth(withinLimits(outcome, drafts, nowMs), drafts, nowMs);
}

/** Appends a record of the server's own. Default: it has no tokens. Errors: as `appendEvents`. */
export function appendRecord(
  before: StoredSession,
  payload: Event["payload"],
  nowMs: number,
  tokens?: TokenCount,
): Outcome {
  const event = create(EventSchema, { payload });
  return append(before, [{ event, ...(tokens && { tokens }) }], nowMs);
}

function append(
  before: StoredSession,
  drafts: readonly EventDraft[],
  nowMs: number,
  ruleReason?: ReasonOf,
): Outcome {
  requireActive(before, nowMs);
  if (before.session.state !== SessionState.CREATED) {
    return record(before, drafts, nowMs, ruleReason);
  }
  const started = startSession(before, nowMs, drafts[0]?.event.trace);
  const appended = record(started.after, drafts, nowMs, ruleReason);
  return { after: appended.after, events: [...started.events, ...appended.events] };
}

/**
 * Puts new values of the caller's own fields into a session. Appends nothing but the end of a session
 * whose time has come.
 *
 * Errors: InvalidFieldError when the session would have to have ended by now.
 */
export function updateSession(
  before: StoredSession,
  changes: Partial<Session>,
  nowMs: number,
  /** Default: they stay as they are. */
  sizes: {
    /** Tokens of instructions and tools afterwards. */
    readonly instructions?: InstructionCounts;
    /** Of the window, when the changes give the session another encoding. */
    readonly window?: Reencoded;
  } = {},
): Outcome {
  const current = settled(before, nowMs);
  const session = bumped({
    ...current.after.session,
    ...changes,
    updateTime: timestampFromMs(nowMs),
  });
  const counted = withInstructions(current.after.head, sizes.instructions);
  const head = sizes.window === undefined ? counted : reencoded(counted, sizes.window);
  const after = withDueTime({ session, head });
  checkAhead(after, nowMs);
  return { after, events: current.events };
}

/** Fields by which a session that has not ended can end by itself. */
const dueFields = {
  timeout: "session.limits.timeout",
  ttl: "session.expiry.ttl",
  idle_ttl: "session.expiry.idle_ttl",
} satisfies Record<Exclude<DueCause, "retention">, string>;

function checkAhead(after: StoredSession, nowMs: number): void {
  const due = dueOf(after);
  if (due === undefined || due.cause === "retention" || due.atMs > nowMs) return;
  throw new InvalidFieldError({
    field: dueFields[due.cause],
    description: `ended the session at ${new Date(due.atMs).toISOString()}, which has passed; give a longer time, or end the session`,
  });
}

function withInstructions(head: SessionHead, counts: InstructionCounts | undefined): SessionHead {
  const context = stateOf({ head });
  const { instructionTokens, toolTokens } = counts ?? context;
  if (instructionTokens === context.instructionTokens && toolTokens === context.toolTokens) {
    return head;
  }
  return { ...head, context: { ...context, instructionTokens, toolTokens } };
}
