import { create } from "@bufbuild/protobuf";
import { Dialect, type Event, type Session, TokenCountSchema } from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";
import type { StoredSession } from "../../store/store.ts";
import { asCheckpoint } from "../history/checkpoints.ts";
import { isHidden } from "../history/visible.ts";
import type { ModelEncoding } from "../tokens/encodings.ts";
import { compactionPolicy } from "./compaction/compactor.ts";
import type { Draft, Drafts } from "./drafts.ts";
import { type EventCache, logOf } from "./event-cache.ts";
import type { Fitting } from "./fit.ts";
import type { InstructionCounts } from "./instruction-sizes.ts";
import { frameTokens } from "./items.ts";
import { sessionEncoding } from "./policy.ts";
import { shownTokensOf, stateOf } from "./state.ts";
import { readCompaction, summaryEvent } from "./summary.ts";

/** Sizes of a session's window in an encoding that becomes its own. */
export interface Reencoded {
  /** Window tokens of the head they were measured on, in the encoding before. */
  readonly tokensBefore: number;
  /** Window tokens of the same head in the new encoding. */
  readonly windowTokens: number;
  /** Compaction that was in force; 0: none. */
  readonly compactionRevision: number;
  /** Tokens of its summary in the new encoding. */
  readonly summaryTokens: number;
}

/** Events behind a compaction up to which all of them are measured. */
const measuredEvents = 2_000;
/** Events that are looked at instead when there are more. */
const sampledEvents = 500;

/** Measures windows of sessions whose model or encoding changes. Changes nothing by itself. */
export class Reencoding {
  readonly #cache: EventCache;
  readonly #drafts: Drafts;

  constructor(args: { cache: EventCache; drafts: Drafts }) {
    this.#cache = args.cache;
    this.#drafts = args.drafts;
  }

  /**
   * Measures a session that is durable as it would be with the fields of `after`: exactly when few
   * events are in no compaction, else by what becomes of the newest ones.
   *
   * Errors: DataLossError, NotSupportedError.
   */
  async measure(
    stored: StoredSession,
    after: Session,
    instructions: InstructionCounts,
  ): Promise<Reencoded> {
    const { head } = stored;
    const { compaction } = stateOf(stored);
    const summaryTokens = await this.#summaryTokens(stored, sessionEncoding(after));
    const context = {
      ...stateOf(stored),
      ...instructions,
      ...(compaction && { compaction: { ...compaction, summaryTokens } }),
    };
    const uncovered = head.revision - (compaction?.coveredThrough ?? 0);
    return {
      tokensBefore: head.windowTokens,
      windowTokens:
        uncovered <= measuredEvents
          ? await this.#whole({ session: after, head: { ...head, context } })
          : await this.#byNewest(stored, sessionEncoding(after)),
      compactionRevision: compaction?.revision ?? 0,
      summaryTokens,
    };
  }

  /**
   * The head of a session that was counted in an encoding which is not the session's own by now, counted
   * in that; measured like `measure` does. Errors: DataLossError, NotSupportedError.
   */
  async recounted({ session, head }: StoredSession): Promise<SessionHead> {
    const encoding = sessionEncoding(session);
    const before = stateOf({ head });
    const { compaction } = before;
    const log = logOf({ session, head });
    const { summary } = await readCompaction({ cache: this.#cache, log, compaction, encoding });
    const summaryTokens = summary ? await this.#sum([uncounted(summary.text)], encoding) : 0;
    const context = {
      ...before,
      ...(compaction && { compaction: { ...compaction, summaryTokens } }),
    };
    const uncovered = head.revision - (compaction?.coveredThrough ?? 0);
    const windowTokens =
      uncovered <= measuredEvents
        ? await this.#whole({ session, head: { ...head, context } })
        : Math.ceil(head.windowTokens * (await this.#scale({ session, head }, encoding)));
    const scale = head.windowTokens === 0 ? 1 : windowTokens / head.windowTokens;
    const holdBelowTokens = Math.ceil(before.holdBelowTokens * scale);
    const counted = { ...context, holdBelowTokens };
    return { ...head, windowTokens, context: counted, reencodedRevision: head.revision };
  }

  async #summaryTokens(stored: StoredSession, encoding: ModelEncoding): Promise<number> {
    const { compaction } = stateOf(stored);
    const { summary } = await readCompaction({
      cache: this.#cache,
      log: logOf(stored),
      compaction,
      encoding: sessionEncoding(stored.session),
    });
    if (summary === undefined) return 0;
    await this.#drafts.sizes.prepare([summary.event], encoding);
    return this.#drafts.sizes.of(summary.event, encoding)?.count ?? 0;
  }

  async #whole(stored: StoredSession): Promise<number> {
    const policy = compactionPolicy(stored);
    const draft = await this.#drafts.make(
      stored,
      { policy, dialect: Dialect.UNSPECIFIED, agent: "", authors: [] },
      () => false,
    );
    const fitting = await this.#drafts.fitting(draft);
    const { instructionTokens, toolTokens } = draft.frame.instructions;
    const shown = frameTokens(draft.frame) + fitting.total(draft.visible);
    return Math.max(0, shown - instructionTokens - toolTokens - standIns(draft, fitting));
  }

  async #byNewest(stored: StoredSession, encoding: ModelEncoding): Promise<number> {
    const shown = await this.#newest(stored);
    const before = await this.#sum(shown, sessionEncoding(stored.session));
    const scale = before === 0 ? 1 : (await this.#sum(shown, encoding)) / before;
    return Math.ceil(stored.head.windowTokens * scale);
  }

  /** How many tokens of the encoding there are for each that was counted at append. */
  async #scale(stored: StoredSession, encoding: ModelEncoding): Promise<number> {
    const shown = await this.#newest(stored);
    const before = shown.reduce((sum, event) => sum + shownTokensOf(event), 0);
    return before === 0 ? 1 : (await this.#sum(shown, encoding)) / before;
  }

  /** The newest events that windows show. */
  async #newest(stored: StoredSession): Promise<Event[]> {
    const log = logOf(stored);
    const newest = await this.#cache.tail(log, Math.max(1, log.head - sampledEvents + 1));
    const { hidden } = stateOf(stored);
    return newest.filter((event) => shownTokensOf(event) > 0 && !isHidden(hidden, event.revision));
  }

  async #sum(events: readonly Event[], encoding: ModelEncoding): Promise<number> {
    const { sizes } = this.#drafts;
    await sizes.prepare(events, encoding);
    return events.reduce((sum, event) => sum + (sizes.of(event, encoding)?.count ?? 0), 0);
  }
}

/** The tokens of events and summaries are counted otherwise afterwards. */
export function changesEncoding(before: Session, after: Session): boolean {
  const [old, next] = [sessionEncoding(before), sessionEncoding(after)];
  return old.encoding !== next.encoding || old.factor !== next.factor;
}

/** Puts new sizes into a head. What was appended since they were measured is scaled. Pure. */
export function reencoded(head: SessionHead, sizes: Reencoded): SessionHead {
  const { tokensBefore, windowTokens, summaryTokens } = sizes;
  const scale = tokensBefore === 0 ? 1 : windowTokens / tokensBefore;
  const appended = Math.ceil((head.windowTokens - tokensBefore) * scale);
  const context = stateOf({ head });
  const { compaction, holdBelowTokens } = context;
  return asCheckpoint({
    ...head,
    reencodedRevision: head.revision,
    windowTokens: Math.max(0, windowTokens + appended),
    context: {
      ...context,
      holdBelowTokens: Math.ceil(holdBelowTokens * scale),
      ...(compaction && { compaction: { ...compaction, summaryTokens } }),
    },
  });
}

/** A summary as a window shows it, not counted yet in any encoding. */
function uncounted(summary: string): Event {
  return { ...summaryEvent(summary), tokens: create(TokenCountSchema) };
}

/** Tokens of what stands in for results that are awaited, which heads do not count. */
function standIns({ visible, state }: Draft, fitting: Fitting): number {
  const open = new Set(state.openCalls.map(({ group }) => group));
  return visible
    .filter(({ first }) => open.has(first))
    .flatMap((group) => fitting.pieces(group))
    .reduce((sum, { reason, tokens }) => (reason === "no_result" ? sum + tokens : sum), 0);
}
