import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "@sessiond/contract/rpc";
import { type Reason, SessiondError } from "./sessiond-error.ts";

/** A field is missing, malformed or out of range; nothing was stored. */
export class InvalidFieldError extends SessiondError {
  /** Every wrong field, and what to do about it. */
  get violations(): readonly { readonly field: string; readonly description: string }[] {
    if (!(this.cause instanceof ConnectError)) return [];
    return this.cause.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  }
  /** Path of the first wrong field, for example `events[0].message.text`. */
  get field(): string {
    return this.text("field");
  }
}

/** No session of that name in the namespace. */
export class SessionNotFoundError extends SessiondError {}

/** The name is taken. */
export class SessionAlreadyExistsError extends SessiondError {}

/** The session has ended and takes no events. */
export class SessionEndedError extends SessiondError {
  /** State it is in, for example "COMPLETED". */
  get state(): string {
    return this.text("state");
  }
}

/** The watched session was deleted. */
export class SessionDeletedError extends SessiondError {}

/** Somebody else wrote: read from `expected` on, decide again, append with `actual`. */
export class RevisionConflictError extends SessiondError {
  /** Revision the call expected. */
  get expected(): number {
    return this.number("expected");
  }
  /** Revision the session is at. */
  get actual(): number {
    return this.number("actual");
  }
}

/** Somebody else changed the session: refresh it and apply the change again. */
export class EtagMismatchError extends SessiondError {
  /** Etag the call named. */
  get expected(): string {
    return this.text("expected");
  }
  /** Etag the session has. */
  get actual(): string {
    return this.text("actual");
  }
}

/** The request id was used with other content. */
export class RequestIdReusedError extends SessiondError {}

/** An event is larger than the limit. */
export class EventTooLargeError extends SessiondError {
  /** Path of the event, for example `events[3]`. */
  get field(): string {
    return this.text("field");
  }
  /** Size of the event. */
  get actualBytes(): number {
    return this.number("actual_bytes");
  }
  /** What the server takes. */
  get limitBytes(): number {
    return this.number("limit_bytes");
  }
}

/** The log of the session has reached its limit; continue in a new session. */
export class SessionLogFullError extends SessiondError {
  /** What the server takes. */
  get limitBytes(): number {
    return this.number("limit_bytes");
  }
}

/** The page token is malformed or belongs to another query. */
export class PageTokenInvalidError extends SessiondError {}

/** The cursor is from another store or session, or ahead of the log; watch from the start. */
export class CursorInvalidError extends SessiondError {}

/** Events behind the cursor were removed and are lost to this reader; watch from the start. */
export class HistoryGoneError extends SessiondError {}

/** The server has as many open watches as it allows. */
export class TooManyWatchesError extends SessiondError {
  /** How many it allows. */
  get limit(): number {
    return this.number("limit");
  }
}

/** The server is shutting down. */
export class ShuttingDownError extends SessiondError {}

/** The store takes no writes until somebody frees space; reads and deletes still work. */
export class WritesRefusedError extends SessiondError {
  /** Free space of the store's disk; NaN when something else is the cause. */
  get freeBytes(): number {
    return this.number("free_bytes");
  }
  /** Free space the store wants. */
  get neededBytes(): number {
    return this.number("needed_bytes");
  }
}

/** The store failed during a commit; retried with the same request id it is applied once. */
export class CommitUnknownError extends SessiondError {}

/** A stored record of this session is damaged. */
export class DataLossError extends SessiondError {
  /** Key of the session's log; empty when a watch found the damage. */
  get sessionUid(): string {
    return this.text("session_uid");
  }
  /** What is damaged, for example "event 17"; empty when a watch found it, whose message says it. */
  get record(): string {
    return this.text("record");
  }
}

/** The request asks for something this server or store does not do. */
export class NotSupportedError extends SessiondError {}

/** A defect of the server; its log has the details under the request id. */
export class InternalError extends SessiondError {}

/** The call was aborted or its time was over; a write may still have taken effect. */
export class CallAbandonedError extends SessiondError {}

/** The server does not allow the Host or Origin of the request. */
export class OriginRefusedError extends SessiondError {
  /** "host" or "origin". */
  get header(): string {
    return this.text("header");
  }
  /** What it says. */
  get value(): string {
    return this.text("value");
  }
}

/** The request is larger than the server reads. */
export class RequestTooLargeError extends SessiondError {
  /** What the server takes. */
  get limitBytes(): number {
    return this.number("limit_bytes");
  }
}

/** The transport does not carry this call. */
export class WrongTransportError extends SessiondError {}

/** The server runs as many calls as it allows; send fewer at once. */
export class TooManyCallsError extends SessiondError {
  /** How many it runs. */
  get limit(): number {
    return this.number("limit");
  }
}

/** What must stay in the context window exceeds the budget; sizes in tokens. */
export class ContextTooLongError extends SessiondError {
  /** Tokens the window may have. */
  get tokenBudget(): number {
    return this.number("token_budget");
  }
  /** Of these, what is kept free for the model's answer. */
  get reservedOutputTokens(): number {
    return this.number("reserved_output_tokens");
  }
  /** Tokens of what must stay. */
  get requiredTokens(): number {
    return this.number("required_tokens");
  }
  /** Of these, instructions, goal, context and tools. */
  get instructionTokens(): number {
    return this.number("instruction_tokens");
  }
  /** Of these, protected events. */
  get protectedTokens(): number {
    return this.number("protected_tokens");
  }
  /** Of these, the current turn. */
  get turnTokens(): number {
    return this.number("turn_tokens");
  }
}

/** Protected events have more tokens than their share of the budget, or are too many. */
export class ProtectedBudgetExceededError extends SessiondError {
  /** Tokens of the protected events; NaN when they are too many. */
  get protectedTokens(): number {
    return this.number("protected_tokens");
  }
  /** Tokens they may have. */
  get limitTokens(): number {
    return this.number("limit_tokens");
  }
  /** How many there may be; NaN when their tokens are too many. */
  get limitEvents(): number {
    return this.number("limit_events");
  }
}

/** So many calls of the session are amended that no further one can be. */
export class TooManyAmendmentsError extends SessiondError {
  /** How many there may be. */
  get limitCalls(): number {
    return this.number("limit_calls");
  }
}

/** The summary answers a compaction that is no longer due, or the session was changed meanwhile. */
export class CompactionStaleError extends SessiondError {
  /** Revision the summary was made for. */
  get dueRevision(): number {
    return this.number("due_revision");
  }
}

/** There is no such compaction in force. */
export class CompactionNotFoundError extends SessiondError {
  /** Revision the call named. */
  get compactionRevision(): number {
    return this.number("compaction_revision");
  }
}

/** The endpoint that makes summaries failed; the window stays as it was. */
export class SummariserFailedError extends SessiondError {}

/** The time to live of the session has passed, so it cannot be reopened. */
export class SessionTtlPassedError extends SessiondError {
  /** When it passed, in ISO form. */
  get expireTime(): string {
    return this.text("expire_time");
  }
}

/** The namespace has as many sessions that have not ended as its quota allows; end some. */
export class SessionQuotaExceededError extends SessiondError {
  /** How many it has. */
  get activeSessions(): number {
    return this.number("active_sessions");
  }
  /** How many it may have. */
  get limitSessions(): number {
    return this.number("limit_sessions");
  }
}

/** The logs of the namespace have as many bytes as its quota allows; delete sessions. */
export class NamespaceFullError extends SessiondError {
  /** Bytes its logs have. */
  get storedBytes(): number {
    return this.number("stored_bytes");
  }
  /** Bytes they may have. */
  get limitBytes(): number {
    return this.number("limit_bytes");
  }
}

/** A scope of the state would be too large; nothing was changed. */
export class StateTooLargeError extends SessiondError {
  /** Scope that would be too large: "session", "user", "app" or "temp". */
  get scope(): string {
    return this.text("scope");
  }
  /** Size it would have. */
  get actualBytes(): number {
    return this.number("actual_bytes");
  }
  /** Largest size. */
  get limitBytes(): number {
    return this.number("limit_bytes");
  }
}

/** A filter cannot tell for the session that `sessionId` names; nothing was changed. */
export class FilterFailedError extends SessiondError {
  /** Why not, in words. */
  get why(): string {
    return this.text("why");
  }
}

/** The session has no such revision. */
export class RevisionOutOfRangeError extends SessiondError {
  /** Revision the call named. */
  get revision(): number {
    return this.number("revision");
  }
  /** Newest revision of the session. */
  get headRevision(): number {
    return this.number("head_revision");
  }
}

/** A rewind would hide the end of the session. */
export class RewindCrossesEndError extends SessiondError {
  /** Revision the call named. */
  get revision(): number {
    return this.number("revision");
  }
  /** Where the session ended. */
  get endRevision(): number {
    return this.number("end_revision");
  }
}

/** The result answers a call that a rewind has hidden; nothing of the batch was stored. */
export class CallHiddenError extends SessiondError {
  /** Id of the call. */
  get callId(): string {
    return this.text("call_id");
  }
  /** Revision of the call. */
  get callRevision(): number {
    return this.number("call_revision");
  }
}

/** Rewinds have left as many separate stretches of hidden events as a session may have. */
export class RewindsFullError extends SessiondError {
  /** How many it may have. */
  get limit(): number {
    return this.number("limit");
  }
}

/** Another verify or backup of the server is under way; wait for its end. */
export class StoreBusyError extends SessiondError {
  /** What is under way: "verify" or "backup". */
  get operation(): string {
    return this.text("operation");
  }
}

/** What is to be imported is no session as the server would have stored it. Nothing was stored. */
export class ImportInvalidError extends SessiondError {
  /** Revision at which it was noticed; 0: at the beginning or the end. */
  get revision(): number {
    return this.number("revision");
  }
}

/** The name is taken by a session that is no child of the parent given. */
export class ParentMismatchError extends SessiondError {
  /** The parent that was given. */
  get parentSessionId(): string {
    return this.text("parent_session_id");
  }
}

/** The parent is so deep a child of a child that it can have none. Make it a child of one further up. */
export class TooManyGenerationsError extends SessiondError {
  get parentSessionId(): string {
    return this.text("parent_session_id");
  }
  get limitLevels(): number {
    return this.number("limit_levels");
  }
}

/** No consumer of that name, or it was deleted while it was read. */
export class ConsumerNotFoundError extends SessiondError {
  /** Name of the consumer. */
  get consumer(): string {
    return this.text("consumer");
  }
}

/** The name is taken by another consumer. */
export class ConsumerExistsError extends SessiondError {
  /** Name of the consumer. */
  get consumer(): string {
    return this.text("consumer");
  }
}

/** Somebody reads under the name of the consumer. */
export class ConsumerInUseError extends SessiondError {
  /** Name of the consumer. */
  get consumer(): string {
    return this.text("consumer");
  }
  /** What its reader calls itself; empty: nothing. */
  get reader(): string {
    return this.text("reader");
  }
  /** Since when, in ISO 8601. */
  get openTime(): string {
    return this.text("open_time");
  }
}

/** Another reader has the name of the consumer by now; nothing was committed. */
export class ConsumerTakenOverError extends SessiondError {
  /** Name of the consumer. */
  get consumer(): string {
    return this.text("consumer");
  }
  /** What its reader calls itself; empty: nothing. */
  get reader(): string {
    return this.text("reader");
  }
}

/** The namespace has as many consumers as it may have. */
export class TooManyConsumersError extends SessiondError {
  /** How many it may have. */
  get limit(): number {
    return this.number("limit");
  }
}

/** Class of each reason; a new reason in the contract does not compile without one. */
export const errorByReason = {
  INVALID_FIELD: InvalidFieldError,
  SESSION_NOT_FOUND: SessionNotFoundError,
  SESSION_ALREADY_EXISTS: SessionAlreadyExistsError,
  SESSION_ENDED: SessionEndedError,
  SESSION_DELETED: SessionDeletedError,
  REVISION_CONFLICT: RevisionConflictError,
  ETAG_MISMATCH: EtagMismatchError,
  REQUEST_ID_REUSED: RequestIdReusedError,
  EVENT_TOO_LARGE: EventTooLargeError,
  SESSION_LOG_FULL: SessionLogFullError,
  PAGE_TOKEN_INVALID: PageTokenInvalidError,
  CURSOR_INVALID: CursorInvalidError,
  HISTORY_GONE: HistoryGoneError,
  TOO_MANY_WATCHES: TooManyWatchesError,
  SHUTTING_DOWN: ShuttingDownError,
  WRITES_REFUSED: WritesRefusedError,
  COMMIT_UNKNOWN: CommitUnknownError,
  DATA_LOSS: DataLossError,
  NOT_SUPPORTED: NotSupportedError,
  INTERNAL: InternalError,
  CALL_ABANDONED: CallAbandonedError,
  ORIGIN_REFUSED: OriginRefusedError,
  REQUEST_TOO_LARGE: RequestTooLargeError,
  WRONG_TRANSPORT: WrongTransportError,
  TOO_MANY_CALLS: TooManyCallsError,
  CONTEXT_TOO_LONG: ContextTooLongError,
  PROTECTED_BUDGET_EXCEEDED: ProtectedBudgetExceededError,
  TOO_MANY_AMENDMENTS: TooManyAmendmentsError,
  COMPACTION_STALE: CompactionStaleError,
  COMPACTION_NOT_FOUND: CompactionNotFoundError,
  SUMMARISER_FAILED: SummariserFailedError,
  SESSION_TTL_PASSED: SessionTtlPassedError,
  SESSION_QUOTA_EXCEEDED: SessionQuotaExceededError,
  NAMESPACE_FULL: NamespaceFullError,
  STATE_TOO_LARGE: StateTooLargeError,
  FILTER_FAILED: FilterFailedError,
  REVISION_OUT_OF_RANGE: RevisionOutOfRangeError,
  REWIND_CROSSES_END: RewindCrossesEndError,
  CALL_HIDDEN: CallHiddenError,
  REWINDS_FULL: RewindsFullError,
  STORE_BUSY: StoreBusyError,
  PARENT_MISMATCH: ParentMismatchError,
  TOO_MANY_GENERATIONS: TooManyGenerationsError,
  IMPORT_INVALID: ImportInvalidError,
  CONSUMER_NOT_FOUND: ConsumerNotFoundError,
  CONSUMER_EXISTS: ConsumerExistsError,
  CONSUMER_IN_USE: ConsumerInUseError,
  CONSUMER_TAKEN_OVER: ConsumerTakenOverError,
  TOO_MANY_CONSUMERS: TooManyConsumersError,
} satisfies Record<Reason, typeof SessiondError>;
