import { create } from "@bufbuild/protobuf";
import {
  AmendmentSchema,
  type AmendToolCallRequest,
  AmendToolCallRequestSchema,
  type AmendToolCallResponse,
  AmendToolCallResponseSchema,
  type Event,
  EventSchema,
  type TokenCount,
} from "@sessiond/contract";
import { InvalidFieldError, SessionNotFoundError, TooManyAmendmentsError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import type { StoredSession } from "../../store/store.ts";
import { remembered, withoutEffect } from "../answers.ts";
import { appendRecord } from "../decisions.ts";
import { isHidden } from "../history/visible.ts";
import { namespaceOf } from "../names.ts";
import type { Quotas } from "../quotas/quotas.ts";
import type { Outcome } from "../record.ts";
import type { Requests } from "../requests.ts";
import { checkRevision, type SessionCells } from "../session-cells.ts";
import { checkLogSize } from "../sizes.ts";
import type { TokenCounter } from "../tokens/counter.ts";
import { scaleCount } from "../tokens/encodings.ts";
import { countEvents } from "../tokens/media.ts";
import { learnedFactor } from "../tokens/reported.ts";
import { validate } from "../validation/validate.ts";
import { amendedHead } from "./amended-calls.ts";
import { amendedBy, withAmendments } from "./amendment-view.ts";
import type { Drafts } from "./drafts.ts";
import { type EventCache, logOf } from "./event-cache.ts";
import { sessionEncoding } from "./policy.ts";
import { checkBudget } from "./protections.ts";
import { changesEncoding } from "./reencoding.ts";
import { stateOf } from "./state.ts";
import { contextUsage } from "./usage.ts";

/** Replaces the arguments of tool calls. */
export class Amendments {
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #quotas: Quotas;
  readonly #cache: EventCache;
  readonly #drafts: Drafts;
  readonly #tokens: TokenCounter;
  readonly #clock: Clock;

  constructor(args: {
    cells: SessionCells;
    requests: Requests;
    quotas: Quotas;
    cache: EventCache;
    drafts: Drafts;
    tokens: TokenCounter;
    clock: Clock;
  }) {
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#quotas = args.quotas;
    this.#cache = args.cache;
    this.#drafts = args.drafts;
    this.#tokens = args.tokens;
    this.#clock = args.clock;
  }

  /** Errors: as documented at the rpc. */
  async amend(request: AmendToolCallRequest): Promise<AmendToolCallResponse> {
    validate(AmendToolCallRequestSchema, request);
    const { sessionId, revision, arguments: text, expectedRevision } = request;
    const name = { namespace: namespaceOf(request.namespace), sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: AmendToolCallRequestSchema,
        message: request,
        responseSchema: AmendToolCallResponseSchema,
      },
      (remember) =>
        this.#quotas.within(name, (admit) =>
          this.#cells.use(name, async (cell) => {
            for (;;) {
              cell.requireLatest();
              checkRevision(cell, expectedRevision);
              await cell.settled();
              const stored = cell.requireDurable();
              const call = await this.#call(stored, revision);
              const amended = await this.#amended(stored, call, text);
              // Nothing waits between here and the commit.
              checkRevision(cell, expectedRevision);
              const before = cell.requireLatest();
              // Another session has taken the name meanwhile; the call is none of it.
              if (before.session.uid !== stored.session.uid) throw new SessionNotFoundError(name);
              // Somebody else amended the same call meanwhile, or hid it, or it is to be counted otherwise.
              if (amendmentOf(before, revision) !== amendmentOf(stored, revision)) continue;
              if (isHidden(stateOf(before).hidden, revision)) continue;
              if (changesEncoding(stored.session, before.session)) continue;
              if (amended === undefined) {
                const usage = { contextUsage: contextUsage(before) };
                const response = create(AmendToolCallResponseSchema, usage);
                return withoutEffect(cell, response, remember(response));
              }
              const outcome = amendCall(before, amended, this.#clock());
              checkOutcome(outcome, amended);
              admit(before, outcome.after);
              const response = create(AmendToolCallResponseSchema, {
                revision: outcome.after.head.revision,
                contextUsage: contextUsage(outcome.after),
              });
              await cell.commit({ ...outcome, ...remembered(remember(response)) });
              return response;
            }
          }),
        ),
    );
  }

  /** The call as it is by now. Errors: InvalidFieldError, DataLossError. */
  async #call(stored: StoredSession, revision: number): Promise<Event> {
    const cache = this.#cache;
    const log = logOf(stored);
    if (isHidden(stateOf(stored).hidden, revision)) {
      throw new InvalidFieldError({
        field: "revision",
        description: `revision ${revision} is hidden by a rewind, so no window shows it`,
      });
    }
    const isThere = revision <= log.head;
    const events = isThere ? await cache.range(log, revision, revision) : [];
    const [call] = await withAmendments(events, { cache, log, state: stateOf(stored) });
    if (call?.payload.case === "toolCall") return call;
    throw new InvalidFieldError({ field: "revision", description: noCall(call, log.head) });
  }

  /** The call as it is to be; undefined: it is so already. */
  async #amended(
    { session, head }: StoredSession,
    call: Event,
    text: string,
  ): Promise<AmendedToolCall | undefined> {
    if (call.payload.case !== "toolCall" || call.payload.value.arguments === text) return undefined;
    const encoding = sessionEncoding(session);
    const { sizes } = this.#drafts;
    const [[counted]] = await Promise.all([
      countEvents(this.#tokens, [amendedBy(call, { arguments: text }, undefined)], encoding),
      sizes.prepare([call], encoding),
    ]);
    // As at an append; what the provider reported is about the arguments of its model.
    const factor = encoding.factor === 1 ? 1 : learnedFactor(head.context);
    const tokens = counted && scaleCount(counted, factor);
    return { call, text, tokens, shownTokens: sizes.of(call, encoding)?.count ?? 0 };
  }
}

/** A call and what is to become of it. */
interface AmendedToolCall {
  readonly call: Event;
  readonly text: string;
  readonly tokens: TokenCount | undefined;
  /** Tokens that the session's own window has of it before. */
  readonly shownTokens: number;
}

/** Pure. Errors: SessionEndedError. */
function amendCall(
  before: StoredSession,
  { call, text, tokens, shownTokens }: AmendedToolCall,
  nowMs: number,
): Outcome {
  const { revision, group } = call;
  const value = create(AmendmentSchema, { revision, arguments: text });
  const { after, events } = appendRecord(before, { case: "amendment", value }, nowMs, tokens);
  const count = tokens?.count ?? 0;
  const head = amendedHead(after.head, {
    revision,
    group,
    tokens: count,
    moreTokens: count - (call.tokens?.count ?? 0),
    windowTokens: count - shownTokens,
  });
  return { after: { ...after, head }, events };
}

/**
 * Errors: TooManyAmendmentsError, ProtectedBudgetExceededError, EventTooLargeError,
 * SessionLogFullError.
 */
function checkOutcome(outcome: Outcome, { call, tokens }: AmendedToolCall): void {
  const { session } = outcome.after;
  const { amendedCalls, protected: guarded } = stateOf(outcome.after);
  if (amendedCalls.length > limits.amendedCalls) {
    const { sessionId } = session;
    throw new TooManyAmendmentsError({ sessionId, limitCalls: limits.amendedCalls });
  }
  const isLarger = (tokens?.count ?? 0) > (call.tokens?.count ?? 0);
  const isProtected = guarded.some(({ revision }) => revision === call.revision);
  if (isLarger && isProtected) checkBudget(outcome.after);
  checkLogSize(outcome, 1, () => "arguments");
}

/** Revision of the newest amendment of a call; undefined: it has none. */
function amendmentOf(stored: StoredSession, revision: number): number | undefined {
  return stateOf(stored).amendedCalls.find((call) => call.revision === revision)?.amendmentRevision;
}

/** What is there instead of a call, in words. */
function noCall(event: Event | undefined, head: number): string {
  if (event === undefined) return `is not in the log, which has revisions 1 to ${head}`;
  const { revision, payload, callRevision } = event;
  const what = payload.case === undefined ? "unknown" : EventSchema.field[payload.case].name;
  const hint = callRevision === 0 ? "" : `; its tool_call is at revision ${callRevision}`;
  return `revision ${revision} is ${what}, and only a tool_call can be amended${hint}`;
}
