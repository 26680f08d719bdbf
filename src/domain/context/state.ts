import { create } from "@bufbuild/protobuf";
import {
  type Event,
  ProtectionSchema,
  Role,
  type TokenCount,
  type ToolCall,
} from "@sessiond/contract";
import {
  type ContextState,
  ContextStateSchema,
  type LateMember,
  LateMemberSchema,
  type NewestGroup,
  NewestGroupSchema,
  type OpenCall,
  OpenCallSchema,
  ProtectedEventSchema,
} from "@sessiond/contract/store";
import { CallHiddenError, ProtectedBudgetExceededError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { StoredSession } from "../../store/store.ts";
import { builtinReason } from "../protection/builtin.ts";
import { learn } from "../tokens/reported.ts";

/** Says why a rule protects an event; undefined: none does. */
export type ReasonOf = (event: Event) => string | undefined;

/** What windows need to know of a session. */
export function stateOf({ head }: Pick<StoredSession, "head">): ContextState {
  return head.context ?? create(ContextStateSchema);
}

/** Payloads a window can show, by themselves or as a part of their group. */
const shown: ReadonlySet<Event["payload"]["case"]> = new Set([
  "message",
  "thinking",
  "toolCall",
  "toolResult",
  "approvalRequest",
  "approvalResponse",
  "output",
] as const);

/**
 * Follows what context windows need to know of a log, event by event, in the order of the log.
 *
 * It gives each event its group, its call and its protection. The state it began with is not changed.
 */
export class StateBuilder {
  readonly #state: ContextState;
  readonly #sessionId: string;
  readonly #ruleReason: ReasonOf;
  #windowTokens: number;
  #closed: OpenCall | undefined;

  constructor(args: {
    sessionId: string;
    before: ContextState | undefined;
    windowTokens: number;
    ruleReason: ReasonOf;
  }) {
    this.#sessionId = args.sessionId;
    const before = args.before ?? create(ContextStateSchema);
    // Lists are copied when they change, messages in them are replaced.
    this.#state = { ...before };
    this.#windowTokens = args.windowTokens;
    this.#ruleReason = args.ruleReason;
  }

  /**
   * Places a numbered event with its role, turn and tokens set.
   *
   * Errors: ProtectedBudgetExceededError, CallHiddenError.
   */
  place(event: Event): void {
    this.#closed = undefined;
    const state = this.#state;
    const isMessage = event.payload.case === "message";
    const isUserMessage = isMessage && event.role === Role.USER;
    const reason =
      builtinReason(event, {
        isFirstUserMessage: isUserMessage && state.firstUserRevision === 0,
      }) ?? this.#ruleReason(event);
    event.group = this.#groupOf(event);
    // What is protected is shown, even a result that answers nothing.
    if (reason !== undefined && event.group === 0 && canBeShown(event)) {
      event.group = this.#alone(event);
    }
    if (reason !== undefined && event.group !== 0) this.#protect(event, reason);
    if (isUserMessage) {
      if (state.firstUserRevision === 0) state.firstUserRevision = event.revision;
      state.turnRevision = event.revision;
      state.turnsSinceCompaction++;
    }
    if (isMessage) state.messagesSinceCompaction++;
    this.#windowTokens += shownTokensOf(event);
  }

  /** The call that the event placed last has closed; undefined: none. */
  get closed(): OpenCall | undefined {
    return this.#closed;
  }

  /** Learns from a provider's report how far counts of the session's model are off. */
  learn(event: Event, counted: TokenCount): void {
    const { counted: all, reported } = learn(this.#state, event, counted);
    this.#state.countedOutputTokens = all;
    this.#state.reportedOutputTokens = reported;
  }

  /** What windows need to know now. */
  get state(): ContextState {
    return this.#state;
  }

  /** Tokens of everything a window shows if nothing is cut. */
  get windowTokens(): number {
    return this.#windowTokens;
  }

  #groupOf(event: Event): number {
    switch (event.payload.case) {
      case "thinking":
        return this.#join(event, ({ hasMessage, hasCall }) => !hasMessage && !hasCall);
      case "message":
        if (event.role !== Role.ASSISTANT) return this.#alone(event);
        return this.#join(event, ({ hasMessage, hasCall }) => !hasMessage && !hasCall, {
          hasMessage: true,
        });
      case "output":
        return this.#alone(event);
      case "toolCall":
        return this.#openCall(event, event.payload.value);
      case "toolResult":
        return this.#result(event);
      case "approvalRequest":
        return this.#approvalRequest(event);
      case "approvalResponse":
        return this.#approvalResponse(event);
      case "handoff":
        this.#complete();
        return 0;
      default:
        return 0;
    }
  }

  #alone({ revision, author }: Event): number {
    this.#state.newestGroup = create(NewestGroupSchema, {
      firstRevision: revision,
      author,
      complete: true,
    });
    return revision;
  }

  /** Joins the newest group if that takes the event, or begins one. */
  #join(
    { revision, author }: Event,
    takes: (group: NewestGroup) => boolean,
    adds: { hasMessage?: true; hasCall?: true } = {},
  ): number {
    const { newestGroup } = this.#state;
    const group =
      newestGroup !== undefined &&
      !newestGroup.complete &&
      newestGroup.author === author &&
      takes(newestGroup)
        ? newestGroup
        : create(NewestGroupSchema, { firstRevision: revision, author });
    this.#state.newestGroup = { ...group, ...adds };
    return group.firstRevision;
  }

  /** Whoever spoke last begins a new group when they speak again. */
  #complete(): void {
    const { newestGroup } = this.#state;
    if (newestGroup !== undefined) this.#state.newestGroup = { ...newestGroup, complete: true };
  }

  #openCall(event: Event, { callId, name: tool }: ToolCall): number {
    const group = this.#join(event, () => true, { hasCall: true });
    const call = create(OpenCallSchema, {
      callId,
      revision: event.revision,
      group,
      tool,
      ...(event.createTime && { createTime: event.createTime, callTime: event.createTime }),
    });
    event.callRevision = event.revision;
    this.#state.openCalls = [...this.#state.openCalls, call].slice(-limits.openCalls);
    // From now on a result of that id is one of this call.
    if (this.#state.hiddenCalls.length > 0) {
      this.#state.hiddenCalls = this.#state.hiddenCalls.filter(
        (hidden) => hidden.callId !== callId,
      );
    }
    return group;
  }

  #result(event: Event): number {
    if (event.payload.case !== "toolResult") return 0;
    const { callId, isFinal } = event.payload.value;
    const call = this.#openCallOf(callId);
    if (call === undefined) {
      this.#checkHidden(callId);
      return 0;
    }
    event.callRevision = call.revision;
    if (isFinal ?? true) {
      this.#closed = call;
      this.#state.openCalls = this.#state.openCalls.filter((open) => open !== call);
    } else {
      this.#renew(call, event);
    }
    return this.#member(call.group, event);
  }

  #approvalRequest(event: Event): number {
    if (event.payload.case !== "approvalRequest") return 0;
    const { callId, approvalId } = event.payload.value;
    const call = this.#openCallOf(callId);
    if (call === undefined) return 0;
    event.callRevision = call.revision;
    this.#renew(call, event, { approvalId });
    return this.#member(call.group, event);
  }

  #approvalResponse(event: Event): number {
    if (event.payload.case !== "approvalResponse") return 0;
    const { approvalId } = event.payload.value;
    const call = this.#state.openCalls.find((open) => open.approvalId === approvalId);
    if (call === undefined) return 0;
    event.callRevision = call.revision;
    this.#renew(call, event);
    return this.#member(call.group, event);
  }

  /** The call gave a sign of life: its lease begins anew. */
  #renew(call: OpenCall, { createTime }: Event, fields: { approvalId?: string } = {}): void {
    const renewed = { ...call, ...(createTime && { createTime }), ...fields };
    this.#state.openCalls = this.#state.openCalls.map((open) => (open === call ? renewed : open));
  }

  /** Of several open calls with one id: the oldest of the newest group. */
  #openCallOf(callId: string): OpenCall | undefined {
    let found: OpenCall | undefined;
    for (const call of this.#state.openCalls) {
      if (call.callId === callId && call.group !== found?.group) found = call;
    }
    return found;
  }

  /** Errors: CallHiddenError. */
  #checkHidden(callId: string): void {
    const call = this.#state.hiddenCalls.findLast((hidden) => hidden.callId === callId);
    if (call === undefined) return;
    const { revision: callRevision } = call;
    throw new CallHiddenError({ sessionId: this.#sessionId, callId, callRevision });
  }

  /** Adds an answer to the group of its call: the response that called is complete then. */
  #member(group: number, { revision }: Event): number {
    if (this.#state.newestGroup?.firstRevision === group) {
      this.#complete();
    } else {
      const late = create(LateMemberSchema, { group, revision });
      this.#state.lateMembers = this.#within([...this.#state.lateMembers, late]);
    }
    return group;
  }

  /**
   * The newest late members, and those of groups that windows come back to however old they are. (A
   * window that reads back to a late member finds it without being told.)
   */
  #within(members: readonly LateMember[]): LateMember[] {
    const excess = members.length - limits.lateMembers;
    if (excess <= 0) return [...members];
    const { protected: guarded, compaction, openCalls } = this.#state;
    const lasting = new Set([
      ...guarded.map(({ group }) => group),
      ...openCalls.map(({ group }) => group),
      ...(compaction?.sparedGroups ?? []),
    ]);
    return members.filter(({ group }, index) => index >= excess || lasting.has(group));
  }

  #protect(event: Event, reason: string): void {
    if (this.#state.protected.length >= limits.protectedEvents) {
      const limitEvents = limits.protectedEvents;
      throw new ProtectedBudgetExceededError({ sessionId: this.#sessionId, limitEvents });
    }
    event.protection = create(ProtectionSchema, { reason });
    this.#state.protected = [
      ...this.#state.protected,
      create(ProtectedEventSchema, {
        revision: event.revision,
        group: event.group,
        tokens: event.tokens?.count ?? 0,
      }),
    ];
  }
}

/** Tokens an event adds to the windows that show all of it. */
export function shownTokensOf(event: Event): number {
  if (event.group === 0) return 0;
  // Progress is not shown once the result is there.
  if (event.payload.case === "toolResult" && event.payload.value.isFinal === false) return 0;
  return event.tokens?.count ?? 0;
}

/** A window can show the event as a text of its own. */
export function canBeShown({ payload }: Event): boolean {
  return shown.has(payload.case) || payload.case === "custom";
}
