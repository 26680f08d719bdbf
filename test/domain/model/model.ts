import { SessionState } from "@sessiond/contract";
import { type ModelEvent, modelEvent } from "./log.ts";
import {
  dueOf,
  ended,
  type Fields,
  hasEnded,
  lostCalls,
  type ModelEnd,
  type ModelSession,
  openCalls,
  reachedLimit,
  settled,
  started,
  withEvents,
} from "./session.ts";
import { argumentsOf, beforeGroups, cutOf } from "./timeline.ts";

/** A call the model refuses, by the reason the contract gives for it. */
export interface Refused {
  readonly refused: string;
}

export function isRefused(answer: object): answer is Refused {
  return "refused" in answer;
}

/** Time after which a tool call without a result counts as dead. */
const callLeaseMs = 3_600_000;
/** Tokens of the results that the server writes for calls nobody answers. */
const overdueTokens = "Cancelled: no result came in time.".length;
const cancelledTokens = "Cancelled: the session was cancelled.".length;

/**
 * Sessions as the contract says they behave, in a few maps and without a store, a cache or a sweep of
 * its own. Names are those of one namespace.
 */
export class Model {
  nowMs = Date.UTC(2030, 0, 1);
  readonly sessions = new Map<string, ModelSession>();
  /** Makes names of tool calls and requests. */
  #serial = 0;

  next(): number {
    return ++this.#serial;
  }

  /** A session as every reader sees it now. */
  shown(name: string): ModelSession | undefined {
    const session = this.sessions.get(name);
    if (session === undefined) return undefined;
    // Its end is not in the log, and so not in its numbers, until somebody writes it down.
    const { log, lastMs } = session;
    return { ...settled(session, this.nowMs), log, lastMs };
  }

  create(
    name: string,
    fields: Fields,
    { isDeferred, parentUid }: { isDeferred: boolean; parentUid?: string | undefined },
  ): ModelSession {
    const { nowMs } = this;
    const state = SessionState.CREATED;
    const times = { createMs: nowMs, lastMs: nowMs };
    const created = { uid: "", fields, state, ...times, log: [], parentUid };
    const session = isDeferred ? created : started(created, nowMs);
    this.sessions.set(name, session);
    return session;
  }

  /** Notes the uid that the server gave a session. */
  learnUid(name: string, uid: string): void {
    const session = this.sessions.get(name);
    if (session !== undefined) this.sessions.set(name, { ...session, uid });
  }

  /** Keeps an ended session under another name; its end is written down with that. */
  rename(name: string, newName: string): void {
    const session = this.sessions.get(name);
    if (session === undefined) throw new RangeError(`no session ${name}`);
    this.sessions.delete(name);
    this.sessions.set(newName, settled(session, this.nowMs));
  }

  /** Gives the revisions of the events; 0 for thinking that is left out. */
  append(
    name: string,
    events: readonly ModelEvent[],
    options: { expectedRevision?: number; creates?: Fields } = {},
  ): { revisions: number[]; isCreated: boolean } | Refused {
    const known = this.sessions.get(name);
    const { expectedRevision = known?.log.length ?? 0 } = options;
    if (expectedRevision !== (known?.log.length ?? 0)) return { refused: "REVISION_CONFLICT" };
    if (known === undefined && options.creates === undefined) {
      return { refused: "SESSION_NOT_FOUND" };
    }
    if (known !== undefined && hasEnded(settled(known, this.nowMs))) {
      return { refused: "SESSION_ENDED" };
    }
    const before = known ?? this.create(name, options.creates as Fields, { isDeferred: false });
    if (known !== undefined && answersLost(known, events)) return { refused: "CALL_HIDDEN" };
    const kept = events.filter((one) => one.kind !== "thinking" || before.fields.storesThinking);
    const closing = this.#deadCalls(before, kept);
    const first = started(before, this.nowMs);
    const after = withEvents(first, [...closing, ...kept], this.nowMs);
    this.sessions.set(name, this.#withinLimits(after, kept));
    let revision = first.log.length + closing.length;
    const revisions = events.map((event) => (kept.includes(event) ? ++revision : 0));
    return { revisions, isCreated: known === undefined };
  }

  /** True when it ended the session, false when it had ended before. */
  end(name: string, state: SessionState, end: Partial<ModelEnd>): boolean | Refused {
    const before = this.sessions.get(name);
    if (before === undefined) return { refused: "SESSION_NOT_FOUND" };
    if (hasEnded(settled(before, this.nowMs))) return false;
    const calls = state === SessionState.CANCELLED ? openCalls(before) : [];
    const closing = calls.map(({ callId }) =>
      modelEvent("toolResult", { callId, tokens: cancelledTokens }),
    );
    const closed = withEvents(started(before, this.nowMs), closing, this.nowMs);
    this.sessions.set(name, ended(closed, state, end, this.nowMs));
    return true;
  }

  reopen(name: string): boolean | Refused {
    const before = this.sessions.get(name);
    if (before === undefined) return { refused: "SESSION_NOT_FOUND" };
    const { end: _end, endMs: _endMs, ...session } = settled(before, this.nowMs);
    if (!hasEnded(session)) return false;
    const { ttlMs } = session.fields;
    if (ttlMs !== undefined && session.createMs + ttlMs <= this.nowMs) {
      return { refused: "SESSION_TTL_PASSED" };
    }
    const event = modelEvent("sessionReopened", { state: session.state });
    const after = withEvents(session, [event], this.nowMs);
    this.sessions.set(name, { ...after, state: SessionState.ACTIVE, reopenMs: after.lastMs });
    return true;
  }

  update(name: string, changes: Partial<Fields>): ModelSession | Refused {
    const before = this.sessions.get(name);
    if (before === undefined) return { refused: "SESSION_NOT_FOUND" };
    const current = settled(before, this.nowMs);
    const after = { ...current, fields: { ...current.fields, ...changes } };
    const due = dueOf(after);
    // It would have had to end by now.
    if (due !== undefined && due.state !== "removed" && due.atMs <= this.nowMs) {
      return { refused: "INVALID_FIELD" };
    }
    this.sessions.set(name, after);
    return after;
  }

  /** Deletes a session with its children and theirs; gives how many those were. */
  delete(name: string): { children: number } | Refused {
    const session = this.sessions.get(name);
    if (session === undefined) return { refused: "SESSION_NOT_FOUND" };
    this.sessions.delete(name);
    let children = 0;
    for (const [child, { parentUid }] of [...this.sessions]) {
      if (parentUid !== session.uid) continue;
      const gone = this.delete(child);
      children += 1 + ("children" in gone ? gone.children : 0);
    }
    return { children };
  }

  /** Gives the revision of the amendment; 0: the call has these arguments already. */
  amend(name: string, revision: number, text: string, tokens: number): number | Refused {
    if (revision === 0) return { refused: "INVALID_FIELD" };
    const before = this.sessions.get(name);
    if (before === undefined) return { refused: "SESSION_NOT_FOUND" };
    const now = argumentsOf(before.log, revision);
    if (now === undefined) return { refused: "INVALID_FIELD" };
    if (now === text) return 0;
    if (hasEnded(settled(before, this.nowMs))) return { refused: "SESSION_ENDED" };
    const event = modelEvent("amendment", { amends: revision, text, tokens });
    const after = withEvents(before, [event], this.nowMs);
    this.sessions.set(name, after);
    return after.log.length;
  }

  /** Gives the revision of the rewind, 0 without one, and the newest revision in front of it. */
  rewind(
    name: string,
    to: { readonly revision: number } | { readonly groups: number },
  ): { revision: number; visibleThrough: number } | Refused {
    const before = this.sessions.get(name);
    if (before === undefined) return { refused: "SESSION_NOT_FOUND" };
    if (hasEnded(settled(before, this.nowMs))) return { refused: "SESSION_ENDED" };
    const { log } = before;
    if ("revision" in to && (to.revision < 1 || to.revision > log.length)) {
      return { refused: "REVISION_OUT_OF_RANGE" };
    }
    const wanted = "revision" in to ? to.revision : beforeGroups(log, to.groups);
    const rewindTo = cutOf(log, wanted);
    const last = log.at(-1);
    const isDone = last?.kind === "rewind" && last.rewindTo === rewindTo;
    if (rewindTo === log.length || isDone) return { revision: 0, visibleThrough: log.length };
    if (rewindTo <= log.findLastIndex(({ kind }) => kind === "sessionEnded")) {
      return { refused: "REWIND_CROSSES_END" };
    }
    const after = withEvents(before, [modelEvent("rewind", { rewindTo })], this.nowMs);
    this.sessions.set(name, after);
    return { revision: after.log.length, visibleThrough: rewindTo };
  }

  /** Makes a session that begins with what another has up to a revision; 0: all of it. */
  fork(name: string, revision: number, newName: string): ModelSession | Refused {
    const parent = this.sessions.get(name);
    if (parent === undefined) return { refused: "SESSION_NOT_FOUND" };
    const inherited = revision === 0 ? parent.log.length : revision;
    if (inherited < 1 || inherited > parent.log.length) return { refused: "REVISION_OUT_OF_RANGE" };
    if (this.sessions.has(newName)) return { refused: "SESSION_ALREADY_EXISTS" };
    const log = parent.log.slice(0, inherited);
    const lastMs = log.at(-1)?.atMs ?? 0;
    const { fields } = parent;
    const { nowMs: createMs } = this;
    const state = SessionState.ACTIVE;
    const fork = { uid: "", fields, state, createMs, lastMs, log, inherited };
    const after = withEvents(fork, [modelEvent("forked")], this.nowMs);
    this.sessions.set(newName, { ...after, startMs: after.lastMs });
    return after;
  }

  /** Makes a session of what was exported of another: the same, but that it shares nothing. */
  copy(name: string, newName: string): ModelSession | Refused {
    const known = this.sessions.get(name);
    if (known === undefined) return { refused: "SESSION_NOT_FOUND" };
    if (this.sessions.has(newName)) return { refused: "SESSION_ALREADY_EXISTS" };
    const { inherited: _shared, parentUid: _parent, ...own } = known;
    this.sessions.set(newName, { ...own, uid: "" });
    return own;
  }

  /** Writes down what time has done to all sessions. */
  sweep(): void {
    for (const [name, session] of [...this.sessions]) {
      if (!this.sessions.has(name)) continue;
      const after = settled(session, this.nowMs);
      const due = dueOf(after);
      const isOver = due?.state === "removed" && due.atMs <= this.nowMs;
      if (isOver) this.delete(name);
      else this.sessions.set(name, after);
    }
  }

  #deadCalls(session: ModelSession, events: readonly ModelEvent[]): ModelEvent[] {
    const spoken = events.filter(({ kind }) => kind === "toolResult").map(({ callId }) => callId);
    return openCalls(session)
      .filter(({ atMs, callId }) => atMs + callLeaseMs <= this.nowMs && !spoken.includes(callId))
      .map(({ callId }) => modelEvent("toolResult", { callId, tokens: overdueTokens }));
  }

  #withinLimits(session: ModelSession, events: readonly ModelEvent[]): ModelSession {
    const limit = reachedLimit(session, events);
    if (limit === undefined) return session;
    return ended(session, SessionState.LIMIT_REACHED, { limit }, this.nowMs);
  }
}

/** One of the events is a result for a call that a rewind has hidden, and for none that is open. */
function answersLost(session: ModelSession, events: readonly ModelEvent[]): boolean {
  const lost = lostCalls(session);
  return events.some(({ kind, callId }) => kind === "toolResult" && lost.includes(callId));
}
