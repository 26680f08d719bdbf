import type { ErrorReason, SessionState } from "@sessiond/contract";

/** Name of a reason as it stands in `google.rpc.ErrorInfo`, for example "REVISION_CONFLICT". */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED" | number>;

/** A field of a request that is wrong: its path, and what to do about it. */
export interface FieldViolation {
  /** Path in the names of the contract, for example `events[0].message.text`. */
  readonly field: string;
  readonly description: string;
}

/**
 * Base of everything the domain and the stores throw on purpose.
 *
 * `reason` decides the code a caller sees (the table is in `transport/errors.ts`), `message` says
 * what was wrong and what to do, `details` are the values of `google.rpc.ErrorInfo.metadata`.
 */
export abstract class SessiondError extends Error {
  abstract readonly reason: Reason;
  readonly details: Readonly<Record<string, string>>;

  constructor(message: string, details: Readonly<Record<string, string>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.details = details;
  }
}

/** Fields of a request are missing, malformed or out of range. Nothing was stored. */
export class InvalidFieldError extends SessiondError {
  readonly reason = "INVALID_FIELD";
  readonly violations: readonly FieldViolation[];
  constructor(first: FieldViolation, ...more: FieldViolation[]) {
    super(`${first.field}: ${first.description}`, { field: first.field });
    this.violations = [first, ...more];
  }
}

interface SessionName {
  readonly namespace: string;
  readonly sessionId: string;
}

export class SessionNotFoundError extends SessiondError {
  readonly reason = "SESSION_NOT_FOUND";
  constructor({ namespace, sessionId }: SessionName) {
    super(
      `no session "${sessionId}" in namespace "${namespace}"; create it, or append with create_if_missing`,
      { namespace, session_id: sessionId },
    );
  }
}

export class SessionAlreadyExistsError extends SessiondError {
  readonly reason = "SESSION_ALREADY_EXISTS";
  constructor({ namespace, sessionId }: SessionName) {
    super(
      `session "${sessionId}" exists in namespace "${namespace}"; choose another id, or create with if_exists`,
      { namespace, session_id: sessionId },
    );
  }
}

/** The name is taken by a session that is no child of the one it was to be a child of. */
export class ParentMismatchError extends SessiondError {
  readonly reason = "PARENT_MISMATCH";
  constructor({ sessionId, parentId }: { sessionId: string; parentId: string }) {
    super(
      `session "${sessionId}" exists and is no child of "${parentId}"; choose another id, or leave parent_session_id out`,
      { session_id: sessionId, parent_session_id: parentId },
    );
  }
}

/** A child has to have its parent within so many levels. */
export class TooManyGenerationsError extends SessiondError {
  readonly reason = "TOO_MANY_GENERATIONS";
  constructor({ parentId, limitLevels }: { parentId: string; limitLevels: number }) {
    super(
      `session "${parentId}" is a child ${limitLevels} levels deep and can have no children; make the session a child of one further up`,
      { parent_session_id: parentId, limit_levels: String(limitLevels) },
    );
  }
}

export class SessionEndedError extends SessiondError {
  readonly reason = "SESSION_ENDED";
  readonly state: keyof typeof SessionState;
  constructor(args: {
    sessionId: string;
    state: keyof typeof SessionState;
    /** What it was to take. Default: events. */
    refused?: "events" | "children";
  }) {
    const { sessionId, state, refused = "events" } = args;
    super(
      `session "${sessionId}" has ended (${state}) and takes no ${refused}; reopen it or create another`,
      { session_id: sessionId, state },
    );
    this.state = state;
  }
}

/** The session lives no longer than its `expiry.ttl`, so it cannot be reopened. */
export class SessionTtlPassedError extends SessiondError {
  readonly reason = "SESSION_TTL_PASSED";
  constructor({ sessionId, expireTimeMs }: { sessionId: string; expireTimeMs: number }) {
    const expireTime = new Date(expireTimeMs).toISOString();
    super(
      `the time to live of session "${sessionId}" passed at ${expireTime}; lengthen expiry.ttl, then reopen it, or create another`,
      { session_id: sessionId, expire_time: expireTime },
    );
  }
}

/** The namespace has as many sessions that have not ended as its quota allows. */
export class SessionQuotaExceededError extends SessiondError {
  readonly reason = "SESSION_QUOTA_EXCEEDED";
  constructor(args: { namespace: string; activeSessions: number; limitSessions: number }) {
    const { namespace, activeSessions, limitSessions } = args;
    super(
      `maximum session limit reached: namespace "${namespace}" has ${activeSessions} sessions that have not ended, its quota is ${limitSessions}; end or expire some, or raise namespaces.${namespace}.quota.active_sessions`,
      {
        namespace,
        active_sessions: String(activeSessions),
        limit_sessions: String(limitSessions),
      },
    );
  }
}

/** The logs of the namespace have as many bytes as its quota allows. */
export class NamespaceFullError extends SessiondError {
  readonly reason = "NAMESPACE_FULL";
  constructor(args: { namespace: string; storedBytes: number; limitBytes: number }) {
    const { namespace, storedBytes, limitBytes } = args;
    super(
      `the logs of namespace "${namespace}" have ${storedBytes} bytes, its quota is ${limitBytes}; delete sessions, or raise namespaces.${namespace}.quota.stored_bytes`,
      { namespace, stored_bytes: String(storedBytes), limit_bytes: String(limitBytes) },
    );
  }
}

export class SessionDeletedError extends SessiondError {
  readonly reason = "SESSION_DELETED";
  constructor({ sessionId }: { sessionId: string }) {
    super(`session "${sessionId}" was deleted`, { session_id: sessionId });
  }
}

/** `expected_revision` is not the session's. Read from `expected` on and decide again. */
export class RevisionConflictError extends SessiondError {
  readonly reason = "REVISION_CONFLICT";
  readonly expected: number;
  readonly actual: number;
  constructor(args: { sessionId: string; expected: number; actual: number }) {
    const { sessionId, expected, actual } = args;
    super(
      expected === actual
        ? `others append to session "${sessionId}" faster than its newest groups can be told; retry, or name a revision`
        : `expected revision ${expected}, session "${sessionId}" is at ${actual}; read from ${Math.min(expected, actual) + 1} and retry`,
      { session_id: sessionId, expected: String(expected), actual: String(actual) },
    );
    this.expected = expected;
    this.actual = actual;
  }
}

/** The session has no such revision. */
export class RevisionOutOfRangeError extends SessiondError {
  readonly reason = "REVISION_OUT_OF_RANGE";
  constructor(args: { sessionId: string; revision: number; headRevision: number }) {
    const { sessionId, revision, headRevision } = args;
    super(
      headRevision === 0
        ? `session "${sessionId}" has no events yet, so no revision ${revision}`
        : `session "${sessionId}" has no revision ${revision}; choose one from 1 to ${headRevision}`,
      {
        session_id: sessionId,
        revision: String(revision),
        head_revision: String(headRevision),
      },
    );
  }
}

/** A rewind would hide the end of the session. */
export class RewindCrossesEndError extends SessiondError {
  readonly reason = "REWIND_CROSSES_END";
  constructor(args: { sessionId: string; revision: number; endRevision: number }) {
    const { sessionId, revision, endRevision } = args;
    super(
      `a rewind of session "${sessionId}" to ${revision} would hide its end at ${endRevision}; rewind to ${endRevision} or later, or fork it at ${revision}`,
      {
        session_id: sessionId,
        revision: String(revision),
        end_revision: String(endRevision),
      },
    );
  }
}

/** The result answers a call that was open when a rewind hid it. Nothing of the batch was stored. */
export class CallHiddenError extends SessiondError {
  readonly reason = "CALL_HIDDEN";
  constructor(args: { sessionId: string; callId: string; callRevision: number }) {
    const { sessionId, callId, callRevision } = args;
    super(
      `call "${callId}" of session "${sessionId}", revision ${callRevision}, was hidden by a rewind and takes no result; drop the result`,
      { session_id: sessionId, call_id: callId, call_revision: String(callRevision) },
    );
  }
}

/** Rewinds have left as many separate stretches of hidden events as a session may have. */
export class RewindsFullError extends SessiondError {
  readonly reason = "REWINDS_FULL";
  constructor({ sessionId, limit }: { sessionId: string; limit: number }) {
    super(
      `rewinds have hidden ${limit} separate stretches of session "${sessionId}", which is the limit; rewind further back, which joins them, or go on in a fork`,
      { session_id: sessionId, limit: String(limit) },
    );
  }
}

export class EtagMismatchError extends SessiondError {
  readonly reason = "ETAG_MISMATCH";
  constructor(args: { sessionId: string; part?: "state"; expected: string; actual: string }) {
    const what = args.part === undefined ? "session" : `the ${args.part} of session`;
    super(
      `${what} "${args.sessionId}" was changed since etag "${args.expected}" and is at "${args.actual}"; get it and apply your change again`,
      { session_id: args.sessionId, expected: args.expected, actual: args.actual },
    );
  }
}

export class RequestIdReusedError extends SessiondError {
  readonly reason = "REQUEST_ID_REUSED";
  constructor({ requestId }: { requestId: string }) {
    super(
      `request_id "${requestId}" was used with other content; use a fresh id for every distinct request`,
      { request_id: requestId },
    );
  }
}

export class EventTooLargeError extends SessiondError {
  readonly reason = "EVENT_TOO_LARGE";
  constructor(args: { field: string; actualBytes: number; limitBytes: number }) {
    super(
      `${args.field} has ${args.actualBytes} bytes, the limit is ${args.limitBytes}; split it, or keep the content elsewhere and append a reference`,
      {
        field: args.field,
        actual_bytes: String(args.actualBytes),
        limit_bytes: String(args.limitBytes),
      },
    );
  }
}

export class SessionLogFullError extends SessiondError {
  readonly reason = "SESSION_LOG_FULL";
  constructor(args: { sessionId: string; limitBytes: number }) {
    super(
      `the log of session "${args.sessionId}" has reached its limit of ${args.limitBytes} bytes; continue in a new session`,
      { session_id: args.sessionId, limit_bytes: String(args.limitBytes) },
    );
  }
}

/** A patch would make one scope of the state too large. Nothing was changed. */
export class StateTooLargeError extends SessiondError {
  readonly reason = "STATE_TOO_LARGE";
  constructor(args: { sessionId: string; scope: string; actualBytes: number; limitBytes: number }) {
    const { sessionId, scope, actualBytes, limitBytes } = args;
    super(
      `the ${scope} scope of the state of session "${sessionId}" would have ${actualBytes} bytes, the limit is ${limitBytes}; remove keys of that scope, or store a reference`,
      {
        session_id: sessionId,
        scope,
        actual_bytes: String(actualBytes),
        limit_bytes: String(limitBytes),
      },
    );
  }
}

export class PageTokenInvalidError extends SessiondError {
  readonly reason = "PAGE_TOKEN_INVALID";
  constructor(what: "malformed" | "of another query") {
    super(
      `page_token is ${what}; begin at the first page and change nothing but the token between pages`,
      { field: "page_token" },
    );
  }
}

/** A filter cannot tell for a session. Nothing was changed. */
export class FilterFailedError extends SessiondError {
  readonly reason = "FILTER_FAILED";
  /** Why, in words. Holds nothing of the session but names of fields and types. */
  readonly why: string;
  constructor({ sessionId, why }: { sessionId: string; why: string }) {
    super(
      `the filter cannot tell for session "${sessionId}": ${why}; nothing was changed, correct the filter`,
      { session_id: sessionId, why },
    );
    this.why = why;
  }
}

export class CursorInvalidError extends SessiondError {
  readonly reason = "CURSOR_INVALID";
  constructor(what: string) {
    super(`cursor ${what}; watch again from the start`, { field: "cursor" });
  }
}

export class HistoryGoneError extends SessiondError {
  readonly reason = "HISTORY_GONE";
  constructor(what: string) {
    super(`${what}; watch again from the start, what lies between is lost to this reader`);
  }
}

interface ConsumerNamed {
  readonly namespace: string;
  readonly name: string;
}

export class ConsumerNotFoundError extends SessiondError {
  readonly reason = "CONSUMER_NOT_FOUND";
  constructor({ namespace, name }: ConsumerNamed, why: "never was" | "was deleted" = "never was") {
    super(
      why === "was deleted"
        ? `consumer "${name}" of namespace "${namespace}" was deleted; create it anew to read on`
        : `no consumer "${name}" in namespace "${namespace}"; create it`,
      { namespace, consumer: name },
    );
  }
}

export class ConsumerExistsError extends SessiondError {
  readonly reason = "CONSUMER_EXISTS";
  constructor({ namespace, name }: ConsumerNamed) {
    super(
      `consumer "${name}" exists in namespace "${namespace}"; read under its name, or choose another`,
      { namespace, consumer: name },
    );
  }
}

/** Somebody reads under the name of the consumer. */
export class ConsumerInUseError extends SessiondError {
  readonly reason = "CONSUMER_IN_USE";
  constructor(args: { name: string; reader: string; openMs: number }) {
    const { name, reader } = args;
    const openTime = new Date(args.openMs).toISOString();
    const who = reader === "" ? "a reader" : `reader "${reader}"`;
    super(
      `${who} has read consumer "${name}" since ${openTime}; wait until it is gone, or watch with take_over`,
      { consumer: name, reader, open_time: openTime },
    );
  }
}

/** Another reader has the name of the consumer by now. */
export class ConsumerTakenOverError extends SessiondError {
  readonly reason = "CONSUMER_TAKEN_OVER";
  constructor({ name, reader }: { name: string; reader: string }) {
    const who = reader === "" ? "another reader" : `reader "${reader}"`;
    super(
      `${who} has consumer "${name}" by now, and gets what was not committed; stop, or watch again`,
      { consumer: name, reader },
    );
  }
}

/** The namespace has as many consumers as it may have. */
export class TooManyConsumersError extends SessiondError {
  readonly reason = "TOO_MANY_CONSUMERS";
  constructor({ namespace, limit }: { namespace: string; limit: number }) {
    super(
      `namespace "${namespace}" has ${limit} consumers, which is the limit; delete those that nobody reads under`,
      { namespace, limit: String(limit) },
    );
  }
}

export class TooManyWatchesError extends SessiondError {
  readonly reason = "TOO_MANY_WATCHES";
  constructor({ limit }: { limit: number }) {
    super(
      `all ${limit} watches are in use; close one, or watch a namespace instead of many sessions`,
      { limit: String(limit) },
    );
  }
}

export class TooManyCallsError extends SessiondError {
  readonly reason = "TOO_MANY_CALLS";
  constructor({ limit }: { limit: number }) {
    super(`${limit} calls are running, which is the limit; send fewer at once, and retry`, {
      limit: String(limit),
    });
  }
}

export class ShuttingDownError extends SessiondError {
  readonly reason = "SHUTTING_DOWN";
  constructor() {
    super("the server is shutting down; retry, and continue a watch from its cursor");
  }
}

/** The store takes no writes for now; reads and deletes still work. */
export class WritesRefusedError extends SessiondError {
  readonly reason = "WRITES_REFUSED";
  constructor(why: string, details: Readonly<Record<string, string>> = {}) {
    super(`writes are refused: ${why}`, details);
  }
}

/** The store failed during a commit. The process must stop; the restart decides what is stored. */
export class CommitUnknownError extends SessiondError {
  readonly reason = "COMMIT_UNKNOWN";
  constructor(cause: unknown) {
    super(
      "the store failed during a commit and the server is restarting; retry with the same request_id, it is applied once",
      {},
      cause,
    );
  }
}

/** A stored record fails its checksum or cannot be decoded. Other sessions are not affected. */
export class DataLossError extends SessiondError {
  readonly reason = "DATA_LOSS";
  constructor(args: { record: string; sessionUid?: string; cause?: unknown }) {
    super(
      `stored record ${args.record} is damaged; restore the session from a backup or a bundle`,
      {
        record: args.record,
        ...(args.sessionUid === undefined ? {} : { session_uid: args.sessionUid }),
      },
      args.cause,
    );
  }
}

/** What must stay in a context window exceeds its budget. Sizes in tokens. */
export class ContextTooLongError extends SessiondError {
  readonly reason = "CONTEXT_TOO_LONG";
  constructor(args: {
    sessionId: string;
    tokenBudget: number;
    reservedOutputTokens: number;
    requiredTokens: number;
    instructionTokens: number;
    protectedTokens: number;
    turnTokens: number;
  }) {
    const { sessionId, tokenBudget, reservedOutputTokens, requiredTokens } = args;
    const { instructionTokens, protectedTokens, turnTokens } = args;
    super(
      `what must stay in the window of session "${sessionId}" has ${requiredTokens} tokens (instructions and tools ${instructionTokens}, protected ${protectedTokens}, current turn ${turnTokens}), the budget leaves ${tokenBudget - reservedOutputTokens}; give a larger budget, shorten the instructions, or unprotect events`,
      {
        session_id: sessionId,
        token_budget: String(tokenBudget),
        reserved_output_tokens: String(reservedOutputTokens),
        required_tokens: String(requiredTokens),
        instruction_tokens: String(instructionTokens),
        protected_tokens: String(protectedTokens),
        turn_tokens: String(turnTokens),
      },
    );
  }
}

/** Protected events have more tokens than their share of the budget, or are too many. */
export class ProtectedBudgetExceededError extends SessiondError {
  readonly reason = "PROTECTED_BUDGET_EXCEEDED";
  constructor(
    args: { sessionId: string } & (
      | { protectedTokens: number; limitTokens: number }
      | { limitEvents: number }
    ),
  ) {
    const [sizes, details] =
      "limitEvents" in args
        ? [
            `has ${args.limitEvents} protected events, which is the limit`,
            { limit_events: String(args.limitEvents) },
          ]
        : [
            `would have ${args.protectedTokens} protected tokens, the limit is ${args.limitTokens}; raise protected_token_budget, or unprotect events`,
            {
              protected_tokens: String(args.protectedTokens),
              limit_tokens: String(args.limitTokens),
            },
          ];
    super(`session "${args.sessionId}" ${sizes}`, { session_id: args.sessionId, ...details });
  }
}

/** So many calls of a session are amended that no further one can be. */
export class TooManyAmendmentsError extends SessiondError {
  readonly reason = "TOO_MANY_AMENDMENTS";
  constructor({ sessionId, limitCalls }: { sessionId: string; limitCalls: number }) {
    super(
      `session "${sessionId}" has ${limitCalls} amended calls, which is the limit; amend one of those again, or go on in another session`,
      { session_id: sessionId, limit_calls: String(limitCalls) },
    );
  }
}

/** The summary answers a compaction that is no longer due, or the session was changed meanwhile. */
export class CompactionStaleError extends SessiondError {
  readonly reason = "COMPACTION_STALE";
  constructor({ sessionId, dueRevision }: { sessionId: string; dueRevision?: number }) {
    super(
      dueRevision === undefined
        ? `another compaction of session "${sessionId}" came first, or what it takes was changed; look at its window, and compact again if need be`
        : `no compaction of session "${sessionId}" is due at revision ${dueRevision}; look for a newer compaction_due`,
      {
        session_id: sessionId,
        ...(dueRevision === undefined ? {} : { due_revision: String(dueRevision) }),
      },
    );
  }
}

export class CompactionNotFoundError extends SessiondError {
  readonly reason = "COMPACTION_NOT_FOUND";
  constructor(args: { sessionId: string; compactionRevision: number; inForce: number }) {
    const { sessionId, compactionRevision, inForce } = args;
    super(
      inForce === 0
        ? `no compaction of session "${sessionId}" is in force`
        : `compaction ${compactionRevision} of session "${sessionId}" is not in force, ${inForce} is; take that one back first`,
      { session_id: sessionId, compaction_revision: String(compactionRevision || inForce) },
    );
  }
}

/** The endpoint that makes summaries failed, or gave none that can be used. */
export class SummariserFailedError extends SessiondError {
  readonly reason = "SUMMARISER_FAILED";
  constructor(why: string, cause?: unknown) {
    super(
      `no summary was made: ${why}; the window stays as it was, retry later or compact with another strategy`,
      {},
      cause,
    );
  }
}

/** A long operation of which there is one at a time is under way already. */
export class StoreBusyError extends SessiondError {
  readonly reason = "STORE_BUSY";
  constructor({ operation }: { operation: "verify" | "backup" }) {
    super(`another ${operation} is under way; wait for its end, or cancel it`, { operation });
  }
}

export class NotSupportedError extends SessiondError {
  readonly reason = "NOT_SUPPORTED";
}

/**
 * The server cannot start as asked: port in use, folder locked, bad configuration.
 *
 * Not part of the API; `main.ts` prints the message, which says what to do, and exits with 2.
 */
export class StartError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "StartError";
  }
}

/** What is to be imported is no session as this server would have stored it. Nothing was stored. */
export class ImportInvalidError extends SessiondError {
  readonly reason = "IMPORT_INVALID";
  constructor(args: { sessionId: string; revision: number; problem: string; cause?: unknown }) {
    const { sessionId, revision, problem, cause } = args;
    const where = revision === 0 ? "" : ` at revision ${revision}`;
    super(
      `session "${sessionId}" cannot be imported${where}: ${problem}`,
      { session_id: sessionId, revision: String(revision) },
      cause,
    );
  }
}
