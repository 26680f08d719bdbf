import {
  type CompactionStrategy,
  Dialect,
  CompactionStrategy as Strategy,
} from "@sessiond/contract";
import { InvalidFieldError, NotSupportedError } from "../../../errors.ts";
import { limits } from "../../../limits.ts";
import type { StoredSession } from "../../../store/store.ts";
import type { TokenCounter } from "../../tokens/counter.ts";
import { countEvents } from "../../tokens/media.ts";
import type { Draft, Drafts } from "../drafts.ts";
import type { Group } from "../groups.ts";
import { sessionEncoding, type WindowPolicy, windowPolicy } from "../policy.ts";
import type { Summariser } from "../summarisers/summariser.ts";
import { summaryEvent } from "../summary.ts";
import type { Summary } from "./decisions.ts";
import { type CompactionPlan, mayLeave, planCompaction } from "./plan.ts";

/** How summaries are made; a strategy without a summariser is not available. */
export interface Summarisers {
  readonly extract: Summariser;
  /** Absent: the operator configured no endpoint. */
  readonly http?: Summariser | undefined;
}

/** Strategies that leave a summary in place of what leaves. */
const leavesSummary = {
  [Strategy.UNSPECIFIED]: true,
  [Strategy.DROP]: false,
  [Strategy.EXTRACT]: true,
  [Strategy.CLIENT]: true,
  [Strategy.HTTP]: true,
} satisfies Record<CompactionStrategy, boolean>;

/** Plans compactions and makes their summaries. Changes nothing by itself. */
export class Compactor {
  readonly #drafts: Drafts;
  readonly #tokens: TokenCounter;
  readonly #summarisers: Summarisers;

  constructor(args: { drafts: Drafts; tokens: TokenCounter; summarisers: Summarisers }) {
    this.#drafts = args.drafts;
    this.#tokens = args.tokens;
    this.#summarisers = args.summarisers;
  }

  /**
   * Plans a compaction of a session by its own policy. A log that was never compacted and is very
   * long is taken in pieces, the oldest first.
   *
   * Errors: DataLossError.
   */
  async plan(
    stored: StoredSession,
    wish: {
      strategy: CompactionStrategy;
      /** Default: the policy's. */
      targetTokens?: number;
      /** Exactly these leave. Default: the oldest, until the target is reached. */
      leaves?: (group: Group) => boolean;
    },
  ): Promise<CompactionPlan> {
    const policy = compactionPolicy(stored);
    const draft = await this.#draft(stored, policy);
    const { targetTokens = policy.targetTokens } = wish;
    return planCompaction({
      draft,
      fitting: await this.#drafts.fitting(draft),
      strategy: wish.strategy,
      targetTokens,
      maxSummaryTokens: leavesSummary[wish.strategy] ? policy.maxSummaryTokens : 0,
      ...(wish.leaves && { leaves: wish.leaves }),
      ...(isPiece(draft) && { leaves: (group) => mayLeave(group, draft) && isWhole(group, draft) }),
    });
  }

  /**
   * Makes the summary of a plan. Undefined: it needs none.
   *
   * Errors: SummariserFailedError; NotSupportedError for strategy HTTP without an endpoint.
   */
  async summarise(
    stored: StoredSession,
    plan: CompactionPlan,
    signal: AbortSignal,
  ): Promise<Summary | undefined> {
    if (plan.maxSummaryTokens === 0) return undefined;
    const text = await this.#summariser(plan.strategy).summarise({
      groups: plan.leaving,
      previousSummary: plan.previousSummary,
      maxTokens: plan.maxSummaryTokens,
      encoding: sessionEncoding(stored.session).encoding,
      signal,
    });
    return this.measured(stored, text);
  }

  /**
   * Checks the summary an agent made for a plan.
   *
   * Errors: InvalidFieldError when it is blank or too long.
   */
  async submitted(stored: StoredSession, text: string, maxTokens: number): Promise<Summary> {
    const field = "summary";
    if (text.trim() === "") {
      throw new InvalidFieldError({ field, description: "is blank; say what happened" });
    }
    const [count] = await this.#tokens.count([text], sessionEncoding(stored.session).encoding);
    const tokens = count?.count ?? 0;
    if (tokens > maxTokens) {
      const description = `has ${tokens} tokens, compaction_due allows ${maxTokens}; make it shorter`;
      throw new InvalidFieldError({ field, description });
    }
    return this.measured(stored, text);
  }

  /** Errors: NotSupportedError. */
  checkAvailable(strategy: CompactionStrategy): void {
    if (strategy !== Strategy.CLIENT && leavesSummary[strategy]) this.#summariser(strategy);
  }

  async measured(stored: StoredSession, text: string): Promise<Summary> {
    const [count] = await countEvents(
      this.#tokens,
      [summaryEvent(text)],
      sessionEncoding(stored.session),
    );
    return { text, tokens: count?.count ?? 0 };
  }

  #summariser(strategy: CompactionStrategy): Summariser {
    if (strategy !== Strategy.HTTP) return this.#summarisers.extract;
    const { http } = this.#summarisers;
    if (http === undefined) {
      throw new NotSupportedError(
        "no endpoint for summaries is configured; set summariser.url, or compact with EXTRACT",
      );
    }
    return http;
  }

  #draft(stored: StoredSession, policy: WindowPolicy): Promise<Draft> {
    const { session, head } = stored;
    const after = head.context?.compaction?.coveredThrough ?? 0;
    const end = Math.min(head.revision, after + limits.compactionEvents);
    return this.#drafts.make(
      stored,
      { policy, dialect: Dialect.UNSPECIFIED, agent: "", authors: [] },
      () => false,
      { uid: session.uid, head: end },
    );
  }
}

/** The session's own policy; how far back windows look does not matter to what they are made of. */
export function compactionPolicy({ session }: StoredSession): WindowPolicy {
  return { ...windowPolicy(session), maxTurns: 0, maxMessages: 0 };
}

/** Only the older part of the log was read. */
function isPiece({ log, stored }: Draft): boolean {
  return log.head < stored.head.revision;
}

/** Revisions at the end of a piece, whose groups may go on behind it. */
const margin = 64;

function isWhole(group: Group, { log }: Draft): boolean {
  return group.last <= log.head - margin;
}
