import type { JsonObject } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Event, type Session as SessionMessage, SessionState } from "@sessiond/contract";
import { type AppendOptions, type AppendResult, appendEvents } from "./append.ts";
import { SessionExport } from "./bundle/export-session.ts";
import { type CallOptions, toConnectOptions, type WriteOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";
import { type DeleteOptions, deleteSession } from "./delete-session.ts";
import type { RequestPart } from "./dialects/request-part.ts";
import {
  SessionDeletedError,
  SessionEndedError,
  SessionNotFoundError,
} from "./errors/server-errors.ts";
import type { EventInput } from "./event-input.ts";
import { type EventQuery, listEvents } from "./event-list.ts";
import { type ForkInput, forkSession, parentOf, type SessionParent } from "./fork.ts";
import {
  countRequest,
  type RecordedRequest,
  type RequestRecord,
} from "./lifecycle/count-request.ts";
import { EndWatch } from "./lifecycle/end-watch.ts";
import { type IdleOptions, isIdle } from "./lifecycle/idle.ts";
import { cancelSession, type ReasonOptions, reopenSession } from "./lifecycle/transitions.ts";
import type { PageList } from "./page.ts";
import { type RequestOptions, recordRequest } from "./record-request.ts";
import { type ReplayOptions, replayEvents } from "./replay.ts";
import {
  hiddenBy,
  type RewindOptions,
  type RewindResult,
  type RewindTarget,
  redone,
  rewindSession,
} from "./rewind.ts";
import { listSteps, type Step, type StepQuery } from "./run/steps.ts";
import { type SessionEvent, toSessionEvent } from "./session-event.ts";
import { pathsOf, type SessionChanges, toSessionInit } from "./session-input.ts";
import { listSessions, type SessionQuery } from "./session-list.ts";
import { getState, type PatchOptions, patchState, type SeenState } from "./state/state.ts";
import { Watch, type WatchOptions } from "./watch.ts";
import { type AmendOptions, amendToolCall } from "./window/amendment.ts";
import {
  type CompactOptions,
  type CompactResult,
  compactSession,
  type RevertOptions,
  revertCompaction,
  submitSummary,
  type WindowChange,
} from "./window/compaction.ts";
import {
  type CompactionDueOptions,
  onCompactionDue,
  type Summarise,
} from "./window/compaction-due.ts";
import type { ContextWindow } from "./window/context-window.ts";
import {
  getContextWindow,
  getMessages,
  type MessagesOptions,
  type WindowOptions,
} from "./window/get-window.ts";
import { type ProtectionChange, setProtection } from "./window/protection.ts";
import { type DialectWord, type StateWord, states, wordFor } from "./words.ts";

export interface SessionWatchOptions extends WatchOptions {
  /** End the watch after the session's end. Default false: a reopened session goes on. */
  readonly untilEnded?: boolean | undefined;
}

export interface UpdateOptions extends WriteOptions {
  /** Fail with EtagMismatchError if somebody changed the session since this handle read it. */
  readonly ifUnchanged?: boolean | undefined;
}

export interface EndOptions extends WriteOptions {
  /** Default "completed". */
  readonly state?: "completed" | "failed" | "cancelled" | "expired" | undefined;
  /** Why, in words. */
  readonly reason?: string | undefined;
  /** What failed, for "failed". */
  readonly error?: { readonly code?: string; readonly message?: string } | undefined;
}

/** How a handle came to be. */
export type SessionOrigin = Pick<Session, "created" | "fingerprintChanged">;

/**
 * A handle on one session. Its fields are the session as this handle last saw it; `refresh()`
 * reads it anew. It holds nothing open but the watch of `signal`.
 *
 * Errors of every method: SessionNotFoundError, ServerUnavailableError and CallAbandonedError.
 */
export class Session {
  readonly #context: ClientContext;
  #message: SessionMessage;
  #endWatch: EndWatch | undefined;
  #isGone = false;
  #stateEtag: string | undefined;
  /** The session was created by the call that made this handle, not found by it. */
  readonly created: boolean;
  /** It was found with another fingerprint than the one given: what it depends on changed. */
  readonly fingerprintChanged: boolean;

  constructor(context: ClientContext, message: SessionMessage, origin?: SessionOrigin) {
    this.#context = context;
    this.#message = message;
    this.created = origin?.created ?? false;
    this.fingerprintChanged = origin?.fingerprintChanged ?? false;
  }

  get namespace(): string {
    return this.#message.namespace;
  }
  get sessionId(): string {
    return this.#message.sessionId;
  }
  /** Key of its log; another one when it was deleted and created again. */
  get uid(): string {
    return this.#message.uid;
  }
  get title(): string {
    return this.#message.title;
  }
  /** Undefined for a state newer than this client. */
  get state(): StateWord | undefined {
    return wordFor(states, this.#message.state);
  }
  /**
   * It has ended or was deleted, as far as this handle knows: by its fields, by what a call was refused
   * with, or by its `signal`. Somebody else may have ended it since; `refresh()` finds out.
   */
  get hasEnded(): boolean {
    if (this.#isGone || this.#endWatch?.signal.aborted) return true;
    return hasEndedBy(this.#message);
  }
  /** Revision of its newest event; 0 for an empty log. */
  get headRevision(): number {
    return this.#message.headRevision;
  }
  get createTime(): Date {
    const { createTime } = this.#message;
    return createTime === undefined ? new Date(0) : timestampDate(createTime);
  }
  /** Where it came from; undefined for a session that is neither fork nor child. */
  get parent(): SessionParent | undefined {
    return parentOf(this.#message);
  }
  /** All its fields, in the form of the contract. */
  get message(): SessionMessage {
    return this.#message;
  }

  /**
   * Fires when the session ends in whatever way, by whomever, or is deleted; its reason is the
   * SessionEndedError or SessionDeletedError. Give it to the work that is done for the session.
   *
   * Asking for it opens a watch, which stays open until then, or until `close()` or the end of the
   * client. A dropped connection fires nothing. After `reopen()` ask for it anew.
   */
  get signal(): AbortSignal {
    if (this.#endWatch === undefined) {
      this.#endWatch = new EndWatch(this.#context, this.sessionId);
      void this.#endWatch.open();
    }
    return this.#endWatch.signal;
  }

  /**
   * Appends an event, or several as one batch that is stored whole or not at all.
   *
   * When it resolves the events are as durable as the answer says. A call that fails for a moment
   * is repeated with the same request id, which has one effect.
   *
   * Errors: SessionEndedError, RevisionConflictError, RequestIdReusedError, InvalidFieldError,
   * EventTooLargeError, SessionLogFullError, WritesRefusedError, CommitUnknownError.
   *
   * ```ts
   * await session.append({ role: "user", text: "I want to visit Japan next month" });
   * await session.append([
   *   { toolCall: { callId: "1", name: "flights", arguments: { to: "HND" } } },
   *   { toolResult: { callId: "1", content: "3 flights" } },
   * ]);
   * ```
   */
  async append(
    events: EventInput | readonly EventInput[],
    options: AppendOptions = {},
  ): Promise<AppendResult> {
    const batch = isBatch(events) ? events : [events];
    const call = { sessionId: this.sessionId, events: batch };
    const result = await this.#noted(appendEvents(this.#context, call, options));
    this.#advance(result.headRevision, result.message.state);
    return result;
  }

  /**
   * Lists its events: awaited a page, iterated all of them.
   *
   * ```ts
   * for await (const event of session.events({ first: 10 })) console.log(event.text);
   * const { items } = await session.events({ order: "newest", pageSize: 1 });
   * ```
   */
  events(query: EventQuery = {}): PageList<SessionEvent> {
    return listEvents(this.#context, this.sessionId, query);
  }

  /**
   * Streams its events as they become durable, see `Watch`.
   *
   * ```ts
   * for await (const event of session.watch({ untilEnded: true })) console.log(event.text);
   * ```
   */
  watch({ untilEnded = false, ...options }: SessionWatchOptions = {}): Watch<SessionEvent> {
    const { sessionId } = this;
    const items = ({ events }: { events: Event[] }) => events.map(toSessionEvent);
    return new Watch(this.#context, { sessionId, untilEnded, items }, options);
  }

  /**
   * Yields its events at the pace at which they were recorded, or `speed` times as fast, also those that
   * a rewind has hidden since. Reads them page by page, the next while one is shown; ends behind the
   * newest. Of a session that goes on, `watch` shows what comes.
   *
   * Errors: UsageError for a speed that is not more than 0, DataLossError.
   *
   * ```ts
   * for await (const event of session.replay({ speed: 4, maxPauseMs: 5_000 })) {
   *   console.log(event.createTime, event.text);
   * }
   * for await (const { type, content } of runEvents(session.replay())) console.log(type, content);
   * ```
   */
  replay(options: ReplayOptions = {}): AsyncGenerator<SessionEvent, void, undefined> {
    return replayEvents(this.#context, this.sessionId, options);
  }

  /**
   * Runs some work, such as a model call, and counts it: appends a `request_recorded` event with
   * the time it took and the error it failed with. Resolves to what the work gives.
   *
   * An error of the work is thrown as it is. When the work succeeded but could not be recorded, the
   * error of the append is thrown, because the session's counters would be wrong.
   *
   * Errors: those of the work; SessionEndedError, WritesRefusedError, CommitUnknownError.
   *
   * ```ts
   * const answer = await session.request(() => fetch("https://example.org/model"));
   * ```
   */
  request<T>(work: () => T | Promise<T>, options: RequestOptions = {}): Promise<T> {
    return recordRequest(this.#context, { sessionId: this.sessionId, work }, options);
  }

  /**
   * Builds its context window: what a model should see of it within a token budget. Changes
   * nothing, and the handle remembers nothing of it.
   *
   * Errors: ContextTooLongError when what must stay exceeds the budget,
   * ProtectedBudgetExceededError, InvalidFieldError, NotSupportedError for an unknown encoding,
   * DataLossError.
   *
   * ```ts
   * const window = await session.contextWindow({ budget: 4_000, query: "the hotel in Kyoto" });
   * for (const { event, treatment, tokens } of window.items) {
   *   console.log(event.revision, treatment, tokens, event.text);
   * }
   * ```
   */
  contextWindow<D extends DialectWord | undefined = undefined>(
    options: WindowOptions<D> = {},
  ): Promise<ContextWindow<D>> {
    return getContextWindow(this.#context, this.sessionId, options);
  }

  /**
   * Builds its context window as the part of a provider's request that carries it: `messages` for
   * "openai-chat", `input` for "openai-responses", `{ system, messages }` for "anthropic",
   * `{ systemInstruction, contents }` for "gemini". The provider does not reject it for calls
   * without results or for the order of things.
   *
   * Errors: as `contextWindow`.
   *
   * ```ts
   * const messages = await session.messages("openai-chat", { budget: 4_000 });
   * const body = { model: "gpt-5", messages };
   *
   * const { system, messages: turns } = await session.messages("anthropic");
   * ```
   */
  messages<D extends DialectWord>(
    dialect: D,
    options: MessagesOptions = {},
  ): Promise<RequestPart<D>> {
    return getMessages(this.#context, { sessionId: this.sessionId, dialect }, options);
  }

  /**
   * Compacts it now, whether or not its policy says that it is due: older events leave its window
   * for a summary; its log keeps them.
   *
   * Errors: SessionEndedError, RevisionConflictError, RequestIdReusedError, CompactionStaleError,
   * SummariserFailedError, NotSupportedError for "http" without an endpoint.
   *
   * ```ts
   * const { compaction } = await session.compact({ strategy: "extract" });
   * console.log(compaction?.tokensBefore, compaction?.tokensAfter);
   * ```
   */
  compact(options: CompactOptions = {}): Promise<CompactResult> {
    return this.#recorded(compactSession(this.#context, this.sessionId, options));
  }

  /**
   * Takes the compaction in force back: the window before it returns, newer events stay.
   *
   * Errors: CompactionNotFoundError, SessionEndedError, RequestIdReusedError.
   *
   * ```ts
   * await session.revertCompaction();
   * ```
   */
  revertCompaction(options: RevertOptions = {}): Promise<WindowChange> {
    return this.#recorded(revertCompaction(this.#context, this.sessionId, options));
  }

  /**
   * Answers a `compactionDue` event, which sessions with strategy "client" append, with the summary
   * of what it covers. `onCompactionDue` does it by itself.
   *
   * Errors: CompactionStaleError when another compaction came first, InvalidFieldError for a
   * summary that is blank or too long, SessionEndedError, RequestIdReusedError.
   *
   * ```ts
   * for await (const { type, revision } of session.watch()) {
   *   if (type === "compactionDue") await session.submitSummary(revision, "Flies to Osaka in May.");
   * }
   * ```
   */
  submitSummary(
    dueRevision: number,
    summary: string,
    options: WriteOptions = {},
  ): Promise<CompactResult> {
    const answer = { sessionId: this.sessionId, dueRevision, summary };
    return this.#recorded(submitSummary(this.#context, answer, options));
  }

  /**
   * Summarises it whenever a compaction is due, also one that was announced before. For sessions
   * whose compaction has strategy "client"; several agents may do it at once, and the first answer
   * counts.
   *
   * Resolves when the session has ended or the signal aborts. An error of `summarise` ends it and is
   * thrown; until the next call windows are cut to fit.
   *
   * Errors: those of `summarise`, InvalidFieldError for a summary that is blank or too long, those
   * of `Watch`.
   *
   * ```ts
   * const stop = new AbortController();
   * const summarising = session.onCompactionDue(
   *   async (due) => {
   *     const lines = [due.previousSummary];
   *     for await (const event of due.events()) lines.push(event.text.slice(0, 100));
   *     return lines.join("\n");
   *   },
   *   { signal: stop.signal },
   * );
   * stop.abort();
   * await summarising;
   * ```
   */
  onCompactionDue(summarise: Summarise, options: CompactionDueOptions = {}): Promise<void> {
    return onCompactionDue(this.#context, { sessionId: this.sessionId, summarise }, options);
  }

  /**
   * Protects events: they are in every window byte for byte. `reason` is shown on them; default
   * "requested".
   *
   * Errors: ProtectedBudgetExceededError, InvalidFieldError, SessionEndedError,
   * RequestIdReusedError.
   *
   * ```ts
   * const { revisions } = await session.append({ role: "user", text: "Never fly via Moscow" });
   * await session.protect(revisions, "explicit_constraint");
   * ```
   */
  protect(
    revisions: readonly number[],
    reason = "",
    options: WriteOptions = {},
  ): Promise<ProtectionChange> {
    const change = { sessionId: this.sessionId, revisions, reason };
    return this.#recorded(setProtection(this.#context, change, options));
  }

  /**
   * Takes the protection of events away, whatever it came from.
   *
   * Errors: InvalidFieldError, SessionEndedError, RequestIdReusedError.
   *
   * ```ts
   * await session.unprotect([2]);
   * ```
   */
  unprotect(revisions: readonly number[], options: WriteOptions = {}): Promise<ProtectionChange> {
    const change = { sessionId: this.sessionId, revisions, unprotect: true };
    return this.#recorded(setProtection(this.#context, change, options));
  }

  /**
   * Replaces the arguments of a tool call, before or after it ran: windows and steps show the call with
   * the new ones, its log shows both. `revision` of the answer is 0 when the call has them already. A
   * text is kept as it is, an object is written as JSON.
   *
   * Errors: InvalidFieldError when there is no tool call at the revision, SessionEndedError,
   * RevisionConflictError, RequestIdReusedError, EventTooLargeError, TooManyAmendmentsError,
   * ProtectedBudgetExceededError for a protected call that grows, SessionLogFullError,
   * NamespaceFullError.
   *
   * ```ts
   * const { revisions } = await session.append({
   *   toolCall: { callId: "2", name: "flights", arguments: { to: "HND" } },
   * });
   * for (const revision of revisions) await session.amendToolCall(revision, { to: "KIX" });
   * ```
   */
  amendToolCall(
    revision: number,
    args: string | JsonObject,
    options: AmendOptions = {},
  ): Promise<WindowChange> {
    const amendment = { sessionId: this.sessionId, revision, arguments: args };
    return this.#recorded(amendToolCall(this.#context, amendment, options));
  }

  /**
   * Changes the fields given, and no others.
   *
   * Errors: EtagMismatchError with `ifUnchanged`, InvalidFieldError.
   *
   * ```ts
   * await session.update({ title: "Japan in May" });
   * ```
   */
  async update(changes: SessionChanges, options: UpdateOptions = {}): Promise<this> {
    const { requestId = this.#context.newId(), ifUnchanged = false } = options;
    const session = {
      ...toSessionInit(changes),
      ...this.#name(),
      ...(ifUnchanged ? { etag: this.#message.etag } : {}),
    };
    const request = { session, requestId, updateMask: { paths: pathsOf(changes) } };
    const call = this.#context.clients.sessions.updateSession(request, toConnectOptions(options));
    return this.#take((await this.#translated(call, requestId)).session);
  }

  /**
   * Changes keys of its state; null removes one, and a value replaces the old one whole. Resolves to
   * the state as it is then.
   *
   * A key without a prefix belongs to the session, `user:` keys to all sessions of its user, `app:`
   * keys to all of the namespace; `temp:` keys come back and are stored nowhere.
   * A repeat with the same `requestId` gives the state as it is by then.
   *
   * Errors: EtagMismatchError with `ifUnchanged`, StateTooLargeError, InvalidFieldError for a key
   * that is reserved or misspelt, SessionEndedError, RequestIdReusedError, WritesRefusedError,
   * CommitUnknownError; UsageError for `ifUnchanged` before this handle saw the state.
   *
   * ```ts
   * const state = await session.patchState({ theme: "dark", "user:locale": "de", draft: null });
   * console.log(state["user:locale"]);
   * await session.patchState({ step: 3 }, { ifUnchanged: true });
   * ```
   */
  async patchState(patch: JsonObject, options: PatchOptions = {}): Promise<JsonObject> {
    const call = { sessionId: this.sessionId, patch, etag: this.#stateEtag };
    return this.#seen(await patchState(this.#context, call, options));
  }

  /**
   * Reads its state: its own keys, and the `user:` and `app:` keys that it shares. Changes nothing.
   *
   * Errors: DataLossError.
   *
   * ```ts
   * const { theme } = await session.getState();
   * ```
   */
  async getState(options: CallOptions = {}): Promise<JsonObject> {
    return this.#seen(await getState(this.#context, this.sessionId, options));
  }

  /**
   * Ends it; it takes no more events. Ending an ended session changes nothing.
   *
   * ```ts
   * await session.end();
   * await session.end({ state: "failed", error: { code: "tool", message: "no flights" } });
   * ```
   */
  async end(options: EndOptions = {}): Promise<this> {
    const { requestId = this.#context.newId(), state = "completed", reason = "", error } = options;
    const end = { reason, errorCode: error?.code ?? "", errorMessage: error?.message ?? "" };
    const request = {
      ...this.#name(),
      requestId,
      state: states[state],
      ...(reason === "" && error === undefined ? {} : { end }),
    };
    const call = this.#context.clients.sessions.endSession(request, toConnectOptions(options));
    return this.#take((await this.#translated(call, requestId)).session);
  }

  /**
   * Cancels it: whoever holds it is told by `signal` and watches, and it takes no more events. Open
   * tool calls get a result that says so. Cancelling an ended session changes nothing.
   *
   * Resolves to whether this call did it.
   *
   * ```ts
   * await session.cancel({ reason: "the user left" });
   * ```
   */
  async cancel(options: ReasonOptions = {}): Promise<boolean> {
    const call = cancelSession(this.#context, this.sessionId, options);
    const { session, changed } = await this.#noted(call);
    this.#take(session);
    return changed;
  }

  /**
   * Makes it active again after its end. Reopening a session that has not ended changes nothing.
   *
   * Resolves to whether this call did it. Errors: SessionTtlPassedError.
   *
   * ```ts
   * await session.reopen({ reason: "one more question" });
   * ```
   */
  async reopen(options: ReasonOptions = {}): Promise<boolean> {
    const call = reopenSession(this.#context, this.sessionId, options);
    const { session, changed } = await this.#noted(call);
    // The watch before it ends with the end that it is for.
    if (changed) this.#endWatch = undefined;
    this.#take(session);
    return changed;
  }

  /**
   * Makes a fork: a new session that shares its log up to `revision`, its newest unless said otherwise,
   * and goes on by itself from there. Takes the same time for a log of any length; the log is not
   * copied. Fields given replace those of this session; limits and expiry count anew.
   *
   * What becomes of this session, also its deletion, does not concern the fork.
   *
   * Errors: RevisionOutOfRangeError beyond its newest revision, SessionAlreadyExistsError,
   * InvalidFieldError, RequestIdReusedError, SessionQuotaExceededError, NamespaceFullError,
   * DataLossError.
   *
   * ```ts
   * const fork = await session.fork({ revision: 12, title: "with trains", limits: { maxSteps: 5 } });
   * await fork.append({ role: "user", text: "And by train?" });
   * console.log(fork.sessionId, fork.parent?.sessionId, fork.parent?.revision);
   * ```
   */
  async fork(input: ForkInput = {}, options: WriteOptions = {}): Promise<Session> {
    const call = { input, options };
    const message = await this.#noted(forkSession(this.#context, this.sessionId, call));
    return new Session(this.#context, message, { created: true, fingerprintChanged: false });
  }

  /**
   * Lists its children: awaited a page, iterated all of them, newest first. Theirs are not among them.
   *
   * ```ts
   * const flights = await sessiond.sessions.create({ parent: session, agentId: "flights" });
   * for await (const { sessionId, state } of session.children()) console.log(sessionId, state);
   * ```
   */
  children(query: Omit<SessionQuery, "parent"> = {}): PageList<Session> {
    const ofThis = { ...query, parent: this.sessionId };
    return listSessions(this.#context, ofThis, (message) => new Session(this.#context, message));
  }

  /**
   * Hides its newest events: windows, steps and lists go on as if its log ended there. The log keeps
   * them, `events({ includeHidden: true })` and watches show them. Limits are not refunded, and its
   * state stays as it is.
   *
   * The cut never falls between a tool call and its result: see `visibleThrough`. Calls that were open
   * and are hidden take no results any more, see CallHiddenError.
   *
   * Errors: RevisionOutOfRangeError, RewindCrossesEndError, RewindsFullError, SessionEndedError,
   * RevisionConflictError, RequestIdReusedError, DataLossError.
   *
   * ```ts
   * const { visibleThrough, usage } = await session.rewind({ revision: 12 });
   * await session.rewind({ groups: 2 });
   * console.log(visibleThrough, usage.windowTokens);
   * ```
   */
  rewind(target: RewindTarget, options: RewindOptions = {}): Promise<RewindResult> {
    return this.#recorded(
      rewindSession(this.#context, { sessionId: this.sessionId, target }, options),
    );
  }

  /**
   * Takes the newest rewind back, if it is the newest event: what it hid is visible again. Else
   * `revision` is 0, and nothing was changed. Redone twice it is as before.
   *
   * Errors: as `rewind`.
   *
   * ```ts
   * await session.redo();
   * ```
   */
  redo(options: WriteOptions = {}): Promise<RewindResult> {
    const call = { sessionId: this.sessionId, target: redone };
    return this.#recorded(rewindSession(this.#context, call, options));
  }

  /**
   * Hides its newest group: a message, or a response with its calls and their results. Resolves to the
   * events of it, oldest first; empty when nothing was said.
   *
   * Errors: as `rewind`.
   *
   * ```ts
   * const [question] = await session.pop();
   * ```
   */
  async pop(options: WriteOptions = {}): Promise<SessionEvent[]> {
    const result = await this.rewind({ groups: 1 }, options);
    return hiddenBy(this.#context, this.sessionId, result);
  }

  /**
   * Hides everything that was said. Errors: as `rewind`.
   *
   * ```ts
   * await session.clear();
   * ```
   */
  clear(options: WriteOptions = {}): Promise<RewindResult> {
    return this.rewind({ revision: 1 }, options);
  }

  /**
   * Lists its steps: awaited a page, iterated all of them.
   *
   * ```ts
   * for await (const { number, type, name, durationMs } of session.steps()) {
   *   console.log(number, type, name, durationMs);
   * }
   * ```
   */
  steps(query: StepQuery = {}): PageList<Step> {
    return listSteps(this.#context, this.sessionId, query);
  }

  /**
   * Reads it anew, and says whether it has expired, or has had no event for longer than
   * `maxIdleMs`, by this machine's clock. A session that ended otherwise has not expired.
   *
   * ```ts
   * if (await session.isExpired({ maxIdleMs: 1_800_000 })) await session.end({ state: "expired" });
   * ```
   */
  async isExpired(options: IdleOptions = {}): Promise<boolean> {
    const { maxIdleMs = Number.POSITIVE_INFINITY, ...call } = options;
    await this.refresh(call);
    return isIdle(this.#message, { nowMs: this.#context.retry.now(), maxIdleMs });
  }

  /**
   * Records a request that was served, its time, its error, or any of them alone. `request` does it
   * around the work.
   *
   * Errors: SessionEndedError, SessionLogFullError, RequestIdReusedError, InvalidFieldError.
   *
   * ```ts
   * const { requests } = await session.recordRequest({ processingTimeMs: 1_500 });
   * await session.recordRequest({ count: false, error: { message: "the answer was empty" } });
   * console.log(requests.count, requests.errorRate);
   * ```
   */
  async recordRequest(record: RequestRecord = {}): Promise<RecordedRequest> {
    const recorded = await this.#noted(countRequest(this.#context, this.sessionId, record));
    this.#advance(recorded.revision);
    return recorded;
  }

  /**
   * Lets go of the watch that `signal` holds open. The session goes on, and so does this handle.
   *
   * ```ts
   * session.close();
   * ```
   */
  close(): void {
    if (this.#endWatch?.signal.aborted) return;
    this.#endWatch?.close();
    this.#endWatch = undefined;
  }

  /**
   * Exports it whole as lines of a bundle: itself, its events, and an end with counters and a checksum.
   * It is what was durable when the export began. `sessiond.sessions.import` takes the lines.
   *
   * Errors: SessionDeletedError when it is deleted meanwhile, DataLossError.
   *
   * ```ts
   * for await (const line of session.export()) console.log(line);
   * ```
   */
  export(options: CallOptions = {}): SessionExport {
    return new SessionExport(this.#context, this.sessionId, options);
  }

  /**
   * Reads it anew.
   *
   * ```ts
   * console.log((await session.refresh()).headRevision);
   * ```
   */
  async refresh(options: CallOptions = {}): Promise<this> {
    const { sessions } = this.#context.clients;
    const call = sessions.getSession(this.#name(), toConnectOptions(options));
    return this.#take((await this.#translated(call)).session);
  }

  /**
   * Deletes it with its log, its children and theirs. The handle is of no more use.
   *
   * Errors: DataLossError for a child that cannot be read.
   *
   * ```ts
   * await session.delete({ allowMissing: true });
   * ```
   */
  async delete(options: DeleteOptions = {}): Promise<boolean> {
    const deleted = await deleteSession(this.#context, this.sessionId, options);
    this.#isGone = true;
    return deleted;
  }

  #advance(revision: number, state = this.#message.state): void {
    const headRevision = Math.max(this.headRevision, revision);
    this.#message = { ...this.#message, headRevision, state };
  }

  /** Takes note of a refusal that says that the session has ended, or is gone. */
  async #noted<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (error instanceof SessionEndedError) {
        const state = SessionState[error.state as keyof typeof SessionState];
        this.#message = { ...this.#message, state: state ?? this.#message.state };
      }
      if (error instanceof SessionNotFoundError || error instanceof SessionDeletedError) {
        this.#isGone = true;
      }
      throw error;
    }
  }

  #seen({ values, etag, revision }: SeenState): JsonObject {
    this.#stateEtag = etag;
    this.#advance(revision);
    return values;
  }

  /** Gives what a call did to the window, and takes note of its event. */
  async #recorded<T extends WindowChange>(call: Promise<T>): Promise<T> {
    const change = await this.#noted(call);
    this.#advance(change.revision);
    return change;
  }

  #name(): { namespace: string; sessionId: string } {
    return { namespace: this.#context.namespace, sessionId: this.sessionId };
  }

  #take(message: SessionMessage | undefined): this {
    if (message === undefined) return this;
    this.#message = message;
    this.#isGone = false;
    // It fired for an end before this: somebody has reopened the session.
    if (this.#endWatch?.signal.aborted && !hasEndedBy(message)) this.#endWatch = undefined;
    return this;
  }

  #translated<T>(call: Promise<T>, requestId?: string): Promise<T> {
    const { sessionId } = this;
    const subject = requestId === undefined ? { sessionId } : { sessionId, requestId };
    return this.#noted(translated(call, subject));
  }
}

/** `Array.isArray` alone does not narrow a readonly array. */
function isBatch(events: EventInput | readonly EventInput[]): events is readonly EventInput[] {
  return Array.isArray(events);
}

function hasEndedBy({ state, endTime }: SessionMessage): boolean {
  const isOpen = state === SessionState.CREATED || state === SessionState.ACTIVE;
  // A state newer than this client is an end if it has a time.
  return endTime !== undefined || (wordFor(states, state) !== undefined && !isOpen);
}
