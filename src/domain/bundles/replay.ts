import { create, type JsonObject } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type Compaction,
  type Event,
  EventSchema,
  type ProtectionChanged,
  Role,
  type Session,
  TokenAccuracy,
} from "@sessiond/contract";
import {
  ProtectedEventSchema,
  type SessionHead,
  SessionHeadSchema,
} from "@sessiond/contract/store";
import { ImportInvalidError, SessionLogFullError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { encodedEvent } from "../../store/encoded.ts";
import { isCheckpoint } from "../../store/indexes.ts";
import { amendedHead } from "../context/amended-calls.ts";
import {
  compactedHead,
  dueHead,
  protectedHead,
  revertedHead,
} from "../context/compaction/decisions.ts";
import type { InstructionCounts } from "../context/instruction-sizes.ts";
import { StateBuilder, shownTokensOf, stateOf } from "../context/state.ts";
import { Counts } from "../counts.ts";
import { asCheckpoint, checkpointSpacing, withCheckpoint } from "../history/checkpoints.ts";
import { Continuation } from "../history/cut.ts";
import { rewoundHead } from "../history/rewind.ts";
import { isHidden } from "../history/visible.ts";
import { traitsOf } from "../payloads.ts";
import { CompactionLog } from "./compaction-log.ts";
import { GrowingBits } from "./growing-bits.ts";
import { GrowingNumbers } from "./growing-numbers.ts";
import { isBefore, isFork, Lives } from "./lives.ts";
import { ReplayedState } from "./replayed-state.ts";

/** What the replay of a log came to. */
export interface Replayed {
  readonly head: SessionHead;
  /** Tokens of everything that a window could show, whether or not it is compacted. */
  readonly shownTokens: number;
  readonly lives: Lives;
  /** The session's own keys of its state. */
  readonly values: JsonObject;
}

/** Sums stop being counted there, and so does the field. */
const maxUint32 = 0xffff_ffff;

/** Fields that the server sets on an event at append, and the replay sets anew. */
const derived = ["turn", "step", "group", "callRevision"] as const;

/**
 * Appends the events of a log once more, with the code that appends use, and compares: an event that
 * this server would have given another turn, step, group, call or protection ends it, and so does one
 * that could not have come then.
 *
 * Why an event is protected is taken from it: rules of its session and server may have changed. Little
 * more than eight bytes for each event stay in memory.
 */
export class Replay {
  readonly #session: Session;
  readonly #lives = new Lives();
  readonly #state = new ReplayedState();
  readonly #groups = new GrowingNumbers();
  /** As windows show them: those of an amended call are the ones it has by now. */
  readonly #tokens = new GrowingNumbers();
  readonly #calls = new GrowingBits();
  readonly #compactions = new CompactionLog(this.#groups);
  #head: SessionHead;
  #counts: Counts;
  #context: StateBuilder;
  #last: Timestamp | undefined;
  #shownTokens = 0;
  #reportedTokens = 0;
  #looks = 0;
  #reasonGiven: string | undefined;

  constructor(session: Session, instructions: InstructionCounts) {
    this.#session = session;
    // What a fork inherits is older than the fork.
    this.#last = isFork(session) ? undefined : session.createTime;
    this.#head = create(SessionHeadSchema, {
      ...(session.createTime && { lastActivityTime: session.createTime }),
      metrics: { tokens: {} },
      context: { ...instructions },
    });
    this.#counts = new Counts(this.#head);
    this.#context = this.#builder();
  }

  /** Revision of the newest event. */
  get revision(): number {
    return this.#counts.fields.revision;
  }

  /** The head as of now. */
  get head(): SessionHead {
    return this.#settle();
  }

  /** The head behind the newest event, if a fork there is to start from it. */
  get checkpoint(): SessionHead | undefined {
    return isCheckpoint(this.#head) && this.#head.revision === this.revision
      ? this.#head
      : undefined;
  }

  /**
   * Takes the next event; gives it as it is to be stored. `target`: of a rewind, the head at the
   * revision that it leads to.
   *
   * Errors: ImportInvalidError, SessionLogFullError, ProtectedBudgetExceededError, CallHiddenError.
   */
  add(event: Event, target?: SessionHead): Event {
    const { createTime, protection, ...rest } = event;
    const expected = this.revision + 1;
    if (event.revision !== expected) {
      throw this.#invalid(expected, `revision ${event.revision} is in its place`);
    }
    const problem = this.#outOfTime(event) ?? missing(event) ?? this.#lives.follow(event);
    if (problem !== undefined) throw this.#invalid(event.revision, problem);

    if (event.payload.case === "rewind") this.#rewind(event.revision, target);
    const again: Event = { ...rest, turn: 0, step: 0, group: 0, callRevision: 0 };
    if (createTime !== undefined) again.createTime = createTime;
    this.#reasonGiven = protection?.reason;
    this.#counts.number(again);
    this.#context.place(again);
    this.#counts.add(again, this.#context.closed);
    this.#compare(event, again);
    this.#take(again);
    const head = this.#headAfter(again);
    if (head !== undefined) this.#begin(head);
    else if (expected % checkpointSpacing === 0) this.#begin(withCheckpoint(this.#settle()));
    return again;
  }

  /** What the log came to. */
  end(): Replayed {
    this.#settle();
    const context = {
      ...stateOf({ head: this.#head }),
      reportedOutputTokens: this.#reportedTokens,
      countedOutputTokens: this.#reportedTokens,
    };
    const head = { ...this.#head, context };
    return { head, shownTokens: this.#shownTokens, lives: this.#lives, values: this.#state.values };
  }

  #outOfTime({ createTime }: Event): string | undefined {
    if (createTime === undefined) return "it has no create_time";
    if (this.#last !== undefined && isBefore(createTime, this.#last)) {
      return "its create_time is before that of the event before, or of the session";
    }
    this.#last = createTime;
    return undefined;
  }

  #compare(event: Event, again: Event): void {
    for (const field of derived) {
      if (event[field] === again[field]) continue;
      const name = EventSchema.field[field].name;
      throw this.#invalid(
        event.revision,
        `${name} is ${event[field]}, the log before it comes to ${again[field]}`,
      );
    }
    const reason = event.protection?.reason;
    if (reason === again.protection?.reason) return;
    throw this.#invalid(
      event.revision,
      `protection is ${quoted(reason)}, the log before it comes to ${quoted(again.protection?.reason)}`,
    );
  }

  #take(event: Event): void {
    const { revision, tokens } = event;
    const bytes = encodedEvent(event).length;
    if (bytes > limits.eventBytes) {
      throw this.#invalid(revision, `it has ${bytes} bytes, the limit is ${limits.eventBytes}`);
    }
    this.#groups.push(event.group);
    this.#tokens.push(tokens?.count ?? 0);
    this.#calls.push(event.payload.case === "toolCall");
    this.#shownTokens += shownTokensOf(event);
    if (tokens?.accuracy === TokenAccuracy.REPORTED) this.#reportedTokens += tokens.count;
    this.#checkTokens(revision);
    // The server's own records may come on top of a full log.
    const limitBytes = limits.sessionLogBytes + limits.eventBytes;
    if ((this.#counts.fields.metrics?.storedBytes ?? 0) > limitBytes) {
      const { sessionId } = this.#session;
      throw new SessionLogFullError({ sessionId, limitBytes: limits.sessionLogBytes });
    }
  }

  /** What one of the server's own records does to the head; undefined: nothing. */
  #headAfter({ revision, tokens, payload }: Event): SessionHead | undefined {
    switch (payload.case) {
      case "compaction":
        return this.#compacted(revision, payload.value);
      case "compactionReverted":
        return this.#reverted(revision, payload.value.revision);
      case "compactionDue":
        return dueHead(this.#settle());
      case "protectionChanged":
        return this.#protected(revision, payload.value);
      case "stateChanged": {
        const problem = this.#state.follow(payload.value.patch ?? {});
        if (problem !== undefined) throw this.#invalid(revision, problem);
        return undefined;
      }
      case "rewind":
        return asCheckpoint(this.#settle());
      case "amendment":
        return this.#amended(revision, payload.value.revision, tokens?.count ?? 0);
      case "redaction":
        // Nothing here says yet what they do to a session, and a head that is wrong is worse.
        throw this.#invalid(revision, `this server imports no ${payload.case}`);
      default:
        return undefined;
    }
  }

  /** Goes back to where a rewind leads, in front of its event. */
  #rewind(revision: number, target: SessionHead | undefined): void {
    const before = this.#settle();
    if (target === undefined || target.revision >= before.revision) {
      throw this.#invalid(revision, "it rewinds to a revision that is not before it");
    }
    if (target.revision < before.endRevision) {
      throw this.#invalid(revision, "it rewinds across an end of the session");
    }
    const continuation = new Continuation(target);
    for (let at = target.revision + 1; at < revision && !continuation.isOver; at++) {
      continuation.take(this.#groups.at(at));
      this.#looks += 1;
    }
    if (continuation.oldest !== undefined) {
      throw this.#invalid(revision, `it cuts the group that begins at ${continuation.oldest}`);
    }
    if (this.#looks > limits.importLooks * (revision + 1_024)) {
      throw this.#invalid(revision, "its rewinds go back over the same revisions too often");
    }
    const head = rewoundHead(before, target);
    if (stateOf({ head }).hidden.length > limits.hiddenRanges) {
      throw this.#invalid(revision, "its rewinds hide more stretches than a session may have");
    }
    this.#begin(head);
  }

  #compacted(revision: number, compaction: Compaction): SessionHead {
    const before = this.#settle();
    const { tokensBefore, tokensAfter } = compaction;
    const state = this.#compactions.add(revision, compaction, stateOf({ head: before }));
    if (typeof state === "string") throw this.#invalid(revision, state);
    const { coveredThrough, sparedGroups } = state;
    const tokens = tokensAfter - tokensBefore;
    const head = compactedHead(before, { compaction, coveredThrough, sparedGroups, tokens });
    if (tokens > 0 || (head.metrics?.compactions?.tokensBefore ?? 0) > maxUint32) {
      throw this.#invalid(revision, "it takes no tokens away, or more than a session can count");
    }
    return head;
  }

  #reverted(revision: number, wanted: number): SessionHead {
    const before = this.#settle();
    const { compaction: inForce } = stateOf({ head: before });
    const known = wanted === inForce?.revision ? this.#compactions.revert(wanted) : undefined;
    if (known === undefined) {
      throw this.#invalid(revision, `it takes back ${wanted}, which is not in force`);
    }
    const { compaction, previous } = known;
    const tokens = compaction.tokensBefore - compaction.tokensAfter;
    const head = revertedHead(before, { compaction, previous, tokens, holdTokens: 0 });
    return { ...head, windowTokens: Math.min(head.windowTokens, this.#shownTokens) };
  }

  #protected(revision: number, { revisions, reason }: ProtectionChanged): SessionHead {
    const before = this.#settle();
    if (new Set(revisions).size < revisions.length) {
      throw this.#invalid(revision, "it names a revision twice");
    }
    const { hidden } = stateOf({ head: before });
    const entries = revisions.map((of) => {
      const group = this.#groups.at(of);
      const isShown = (reason === "" || group > 0) && !isHidden(hidden, of);
      if (of < 1 || of >= revision || !isShown) {
        throw this.#invalid(revision, `it protects ${of}, which no window shows`);
      }
      return create(ProtectedEventSchema, {
        revision: of,
        group,
        tokens: this.#tokensOf(of, before),
        reason,
      });
    });
    const head = protectedHead(before, {
      revisions,
      entries: reason === "" ? [] : entries,
      groupTokens: new Map(),
    });
    if (stateOf({ head }).protected.length > limits.protectedEvents) {
      throw this.#invalid(revision, "it protects more events than a session may have");
    }
    return head;
  }

  #amended(revision: number, of: number, tokens: number): SessionHead {
    if (!this.#calls.has(of)) {
      const what = of < 1 || of >= revision ? "which is not before it" : "which is no tool_call";
      throw this.#invalid(revision, `it amends ${of}, ${what}`);
    }
    const before = this.#settle();
    if (isHidden(stateOf({ head: before }).hidden, of)) {
      throw this.#invalid(revision, `it amends ${of}, which a rewind hides`);
    }
    const moreTokens = tokens - this.#tokensOf(of, before);
    // A rewind may bring the larger of them back.
    this.#shownTokens += Math.max(0, moreTokens);
    this.#checkTokens(revision);
    const call = { revision: of, group: this.#groups.at(of), tokens, moreTokens };
    const head = amendedHead(before, call);
    if (stateOf({ head }).amendedCalls.length > limits.amendedCalls) {
      throw this.#invalid(revision, "it amends more calls than a session may have");
    }
    return head;
  }

  /** Tokens of an event, of a call with the arguments it has at a head. */
  #tokensOf(revision: number, head: SessionHead): number {
    const { amendedCalls } = stateOf({ head });
    const amended = amendedCalls.find((call) => call.revision === revision);
    return this.#tokens.at(amended?.amendmentRevision ?? revision);
  }

  #checkTokens(revision: number): void {
    if (this.#shownTokens > maxUint32 || this.#reportedTokens > maxUint32) {
      throw this.#invalid(revision, "its tokens are more than a session can count");
    }
  }

  /** The head as of now. */
  #settle(): SessionHead {
    this.#head = {
      ...this.#head,
      ...this.#counts.fields,
      context: this.#context.state,
      windowTokens: this.#context.windowTokens,
      ...(this.#last && { lastActivityTime: this.#last }),
    };
    return this.#head;
  }

  #begin(head: SessionHead): void {
    this.#head = head;
    this.#counts = new Counts(head);
    this.#context = this.#builder();
  }

  #builder(): StateBuilder {
    return new StateBuilder({
      sessionId: this.#session.sessionId,
      before: this.#head.context,
      windowTokens: this.#head.windowTokens,
      ruleReason: () => this.#reasonGiven,
    });
  }

  #invalid(revision: number, problem: string): ImportInvalidError {
    return new ImportInvalidError({ sessionId: this.#session.sessionId, revision, problem });
  }
}

function missing(event: Event): string | undefined {
  if (event.payload.case === undefined) return "it has no payload";
  const isSilent = event.role === Role.UNSPECIFIED && traitsOf(event).role !== Role.UNSPECIFIED;
  return isSilent ? "it has no role" : undefined;
}

function quoted(reason: string | undefined): string {
  return reason === undefined ? "absent" : `"${reason}"`;
}
