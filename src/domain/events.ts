import { create } from "@bufbuild/protobuf";
import {
  type AppendEventsRequest,
  AppendEventsRequestSchema,
  type AppendEventsResponse,
  AppendEventsResponseSchema,
  type AppendedEvent,
  AppendedEventSchema,
  type Event,
  EventOrder,
  type ListEventsRequest,
  ListEventsRequestSchema,
  type ListEventsResponse,
  ListEventsResponseSchema,
  SessionSchema,
  type TraceContext,
} from "@sessiond/contract";
import { decodePageToken, encodePageToken, scopeOf } from "../cursor.ts";
import { InvalidFieldError, PageTokenInvalidError } from "../errors.ts";
import type { Clock, Ids } from "../ids.ts";
import { limits } from "../limits.ts";
import { placesOf } from "../store/log.ts";
import type { Store, StoredSession } from "../store/store.ts";
import { AppendOrders, type Order } from "./append-orders.ts";
import type { BackgroundCompaction } from "./context/compaction/background.ts";
import { sessionEncoding } from "./context/policy.ts";
import { withProtection } from "./context/protection-view.ts";
import { stateOf } from "./context/state.ts";
import { contextUsage } from "./context/usage.ts";
import { appendEvents, createSession } from "./decisions.ts";
import { hintsFor } from "./hints.ts";
import { readVisible } from "./history/visible.ts";
import { namespaceOf } from "./names.ts";
import { pageSizeOf } from "./pages.ts";
import type { Protection } from "./protection/protection.ts";
import type { Quotas } from "./quotas/quotas.ts";
import { type EventDraft, type Outcome, withoutEnd } from "./record.ts";
import type { Requests } from "./requests.ts";
import {
  checkRevision,
  type SessionCell,
  type SessionCells,
  type SessionName,
} from "./session-cells.ts";
import { checkLogSize } from "./sizes.ts";
import type { TokenCounter } from "./tokens/counter.ts";
import { scaleCount } from "./tokens/encodings.ts";
import { countEvents } from "./tokens/media.ts";
import { learnedFactor, reportedCount } from "./tokens/reported.ts";
import { validate } from "./validation/validate.ts";

/** How a batch is appended. */
export interface AppendContext {
  /** Absent: it is decided on behind the appends of its session that came before. */
  readonly order?: Order;
  /** What events get that have no trace context of their own. Absent: nothing. */
  readonly trace?: TraceContext | undefined;
}

/** Appends events to sessions and lists them. */
export class Events {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #tokens: TokenCounter;
  readonly #protection: Protection;
  readonly #quotas: Quotas;
  readonly #background: BackgroundCompaction;
  readonly #orders = new AppendOrders();
  readonly #clock: Clock;
  readonly #ids: Ids;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    requests: Requests;
    tokens: TokenCounter;
    protection: Protection;
    quotas: Quotas;
    background: BackgroundCompaction;
    clock: Clock;
    ids: Ids;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#tokens = args.tokens;
    this.#protection = args.protection;
    this.#quotas = args.quotas;
    this.#background = args.background;
    this.#clock = args.clock;
    this.#ids = args.ids;
  }

  /**
   * Appends a batch.
   *
   * Errors: as documented at the rpc.
   */
  async append(
    request: AppendEventsRequest,
    { order, trace }: AppendContext = {},
  ): Promise<AppendEventsResponse> {
    validate(AppendEventsRequestSchema, request);
    checkPayloads(request.events);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return order === undefined
      ? this.#orders.run(name, (own) => this.#append(request, name, own, trace))
      : this.#append(request, name, order, trace);
  }

  #append(
    request: AppendEventsRequest,
    name: SessionName,
    order: Order,
    trace: TraceContext | undefined,
  ): Promise<AppendEventsResponse> {
    return this.#requests.once(
      {
        ...name,
        schema: AppendEventsRequestSchema,
        message: request,
        responseSchema: AppendEventsResponseSchema,
      },
      (remember) =>
        this.#quotas.within(name, (admit) =>
          this.#cells.use(name, async (cell) => {
            const known = cell.latest ?? { session: create(SessionSchema, name) };
            const drafts = await this.#counted(traced(request.events, trace), known);
            await order.turn;
            // From here to the commit nothing waits: the decision is made on the latest state.
            checkRevision(cell, request.expectedRevision);
            const before = cell.latest;
            const kept = drafts.filter(isStoredBy(before));
            const { after, events } = this.#decide(cell, request, kept);
            checkLogSize({ after, events }, kept.length);
            admit(before, after);
            const response = create(AppendEventsResponseSchema, {
              sessionUid: after.session.uid,
              sessionCreated: before === undefined,
              events: receiptsOf(drafts, kept, withoutEnd(events)),
              headRevision: after.head.revision,
              durability: this.#store.capabilities.durability,
              contextUsage: contextUsage(after),
              hints: hintsFor(after),
              state: after.session.state,
            });
            const record = remember(response);
            const commit = cell.commit({ after, events, ...(record && { request: record }) });
            order.decided();
            await commit;
            this.#background.consider(after);
            return response;
          }),
        ),
    );
  }

  /** Errors: as documented at the rpc. */
  async list(request: ListEventsRequest): Promise<ListEventsResponse> {
    validate(ListEventsRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#cells.use(name, async (cell) => {
      const stored = cell.requireDurable();
      const { head } = stored;
      const { uid } = stored.session;
      const { firstRevision, lastRevision, order, includeHidden, pageToken } = request;
      const query = [firstRevision, lastRevision, order, includeHidden];
      const scope = scopeOf(uid, JSON.stringify(query));
      const reverse = order === EventOrder.NEWEST_FIRST;

      let first = Math.max(1, firstRevision);
      let last = lastRevision === 0 ? head.revision : Math.min(lastRevision, head.revision);
      if (pageToken !== "") {
        const next = parsePosition(decodePageToken(scope, pageToken));
        if (reverse) last = Math.min(last, next);
        else first = Math.max(first, next);
      }
      if (first > last) return create(ListEventsResponseSchema);
      const { events, next } = await readVisible(this.#store, {
        log: placesOf(stored),
        hidden: includeHidden ? [] : stateOf(stored).hidden,
        first,
        last,
        reverse,
        maxEvents: pageSizeOf(request.pageSize),
        maxBytes: limits.pageBytes,
      });
      const more = next >= first && next <= last;
      return create(ListEventsResponseSchema, {
        events: head.context ? withProtection(events, head.context) : events,
        nextPageToken: more ? encodePageToken(scope, String(next)) : "",
      });
    });
  }

  async #counted(
    events: readonly Event[],
    { session, head }: Partial<StoredSession> & Pick<StoredSession, "session">,
  ): Promise<EventDraft[]> {
    await this.#protection.prepare(session);
    const encoding = sessionEncoding(session);
    const counts = await countEvents(this.#tokens, events, encoding);
    return events.map((event, index): EventDraft => {
      const counted = counts[index];
      if (counted === undefined) return { event };
      // Where the model's own tokenizer is public, nobody counts better.
      if (encoding.factor === 1) return { event, tokens: counted };
      const learned = scaleCount(counted, learnedFactor(head?.context));
      return { event, tokens: reportedCount(event, counted) ?? learned, counted };
    });
  }

  #decide(cell: SessionCell, request: AppendEventsRequest, drafts: readonly EventDraft[]): Outcome {
    const nowMs = this.#clock();
    if (cell.latest !== undefined || !request.createIfMissing) {
      const before = cell.requireLatest();
      return appendEvents(before, drafts, nowMs, this.#protection.reasonOf(before.session));
    }
    const session = create(SessionSchema, { ...cell.name });
    const uid = this.#ids.uid();
    const created = createSession(session, {
      uid,
      nowMs,
      deferredStart: false,
      trace: drafts[0]?.event.trace,
    });
    const ruleReason = this.#protection.reasonOf(session);
    const appended = appendEvents(created.after, drafts, nowMs, ruleReason);
    return { after: appended.after, events: [...created.events, ...appended.events] };
  }
}

/** The revision a page begins at. Errors: PageTokenInvalidError for one made up by a caller. */
function parsePosition(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new PageTokenInvalidError("malformed");
  return Number(text);
}

/** Not part of the request: a retry comes with another trace, and is the same request. */
function traced(events: readonly Event[], trace: TraceContext | undefined): readonly Event[] {
  return trace === undefined
    ? events
    : events.map((event) => (event.trace === undefined ? { ...event, trace } : event));
}

function checkPayloads(events: readonly Event[]): void {
  const index = events.findIndex(({ payload }) => payload.case === undefined);
  if (index === -1) return;
  throw new InvalidFieldError({
    field: `events[${index}]`,
    description: "needs a payload, for example message, tool_call or tool_result",
  });
}

/** Thinking is taken and left out of the log where the policy says so. */
function isStoredBy(before: StoredSession | undefined): (draft: EventDraft) => boolean {
  if (before?.session.contextPolicy?.storeThinking ?? true) return () => true;
  return ({ event }) => event.payload.case !== "thinking";
}

/** What became of each draft; one that was left out has no revision. `events` end with those kept. */
function receiptsOf(
  drafts: readonly EventDraft[],
  kept: readonly EventDraft[],
  events: readonly Event[],
): AppendedEvent[] {
  const appended = events.slice(events.length - kept.length).values();
  const stored = new Set(kept);
  return drafts.map((draft) => {
    const event = stored.has(draft) ? appended.next().value : undefined;
    if (event === undefined) return create(AppendedEventSchema);
    const { revision, tokens, turn, step } = event;
    return create(AppendedEventSchema, { revision, turn, step, ...(tokens && { tokens }) });
  });
}
