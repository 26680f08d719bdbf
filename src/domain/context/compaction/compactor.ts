import {
  type CompactionStrategy,
  Dialect,
  CompactionStrategy as Strategy,
} from "@sessiond/contract";
import { InvalidFieldError, NotSupportedError, SummariserFailedError } from "../../../errors.ts";
import { limits } from "../../../limits.ts";
import type { StoredSession } from "../../../store/store.ts";
import type { CostPer1000 } from "../../costs.ts";
import type { TokenCounter } from "../../tokens/counter.ts";
import { scaleCount } from "../../tokens/encodings.ts";
import { countEvents } from "../../tokens/media.ts";
import type { Draft, Drafts } from "../drafts.ts";
import { logOf } from "../event-cache.ts";
import type { Group } from "../groups.ts";
import { sessionEncoding, type WindowPolicy, windowPolicy } from "../policy.ts";
import type { Summariser } from "../summarisers/summariser.ts";
import { summaryEvent } from "../summary.ts";
import type { Summary } from "./decisions.ts";
import type { Goal } from "./goal.ts";
import { type CompactionPlan, planCompaction } from "./plan.ts";

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
  readonly #costPer1000: CostPer1000;
  readonly #frames = new Map<string, number>();

  constructor(args: {
    drafts: Drafts;
    tokens: TokenCounter;
    summarisers: Summarisers;
    /** Default: no cost is known. */
    costPer1000?: CostPer1000;
  }) {
    this.#drafts = args.drafts;
    this.#tokens = args.tokens;
    this.#summarisers = args.summarisers;
    this.#costPer1000 = args.costPer1000 ?? (() => 0);
  }

  /**
   * Plans a compaction of a session by its own policy. A log that was never compacted and is very
   * long is taken in pieces, the oldest first. Undefined: less than the goal asks for would be gained.
   *
   * Errors: DataLossError.
   */
  async plan(
    stored: StoredSession,
    wish: {
      strategy: CompactionStrategy;
      goal: Goal;
      /** Exactly these leave. Default: the oldest, until the target is reached. */
      leaves?: (group: Group) => boolean;
    },
  ): Promise<CompactionPlan | undefined> {
    const { strategy, goal, leaves } = wish;
    const summaryFrame = leavesSummary[strategy] ? await this.#frameOf(stored) : undefined;
    const { head } = stored;
    const after = head.context?.compaction?.coveredThrough ?? 0;
    // A piece that gives nothing, because it holds records or what must stay, is made larger.
    for (let size: number = limits.compactionEvents; ; size *= 2) {
      const end = Math.min(head.revision, after + size);
      const draft = await this.#draft(stored, end);
      const plan = await planCompaction({
        draft,
        fitting: await this.#drafts.fitting(draft),
        strategy,
        goal,
        summaryFrame,
        leaves,
        costPer1000: this.#costPer1000(stored.session.model),
      });
      if (plan !== undefined || end === head.revision) return plan;
    }
  }

  /**
   * Makes the summary of a plan. When no group leaves, the summary before stays. Undefined: there is
   * none.
   *
   * Errors: SummariserFailedError; NotSupportedError for strategy HTTP without an endpoint.
   */
  async summarise(
    stored: StoredSession,
    plan: CompactionPlan,
    signal: AbortSignal,
  ): Promise<Summary | undefined> {
    const { leaving, previousSummary, previousSummaryTokens, maxSummaryTokens } = plan;
    if (leaving.length === 0 && previousSummary !== "") {
      return { text: previousSummary, tokens: previousSummaryTokens };
    }
    if (maxSummaryTokens === 0) return undefined;
    const { encoding, factor } = sessionEncoding(stored.session);
    const made = await this.#summariser(plan.strategy).summarise({
      groups: leaving,
      previousSummary,
      // Summarisers count plainly, whatever model the session is for.
      maxTokens: Math.floor(maxSummaryTokens / factor),
      encoding,
      signal,
    });
    const text = made.toWellFormed();
    if (isBlank(text)) throw new SummariserFailedError("it is blank");
    const [tokens, summary] = await Promise.all([
      this.#tokensOf(stored, text),
      this.measured(stored, text),
    ]);
    if (tokens > maxSummaryTokens) {
      throw new SummariserFailedError(`it has ${tokens} tokens, allowed are ${maxSummaryTokens}`);
    }
    return summary;
  }

  /**
   * Checks the summary an agent made. `maxTokens` as `compaction_due` says it: in the session's own
   * count.
   *
   * Errors: InvalidFieldError when it is blank or too long.
   */
  async submitted(stored: StoredSession, summary: string, maxTokens: number): Promise<Summary> {
    const field = "summary";
    // A half of a character does not survive being stored.
    const text = summary.toWellFormed();
    if (isBlank(text)) {
      throw new InvalidFieldError({ field, description: "is blank; say what happened" });
    }
    const tokens = await this.#tokensOf(stored, text);
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

  /** The summary, and the tokens it has in a window with the words around it. */
  async measured(stored: StoredSession, text: string): Promise<Summary> {
    const [count] = await countEvents(
      this.#tokens,
      [summaryEvent(text)],
      sessionEncoding(stored.session),
    );
    return { text, tokens: count?.count ?? 0 };
  }

  /** Tokens of the words around a summary; the same for all sessions of an encoding. */
  async #frameOf(stored: StoredSession): Promise<number> {
    const { encoding, factor } = sessionEncoding(stored.session);
    const key = `${encoding} ${factor}`;
    const known = this.#frames.get(key);
    if (known !== undefined) return known;
    const { tokens } = await this.measured(stored, "");
    this.#frames.set(key, tokens);
    return tokens;
  }

  /** Tokens of a text as the session counts its own. */
  async #tokensOf(stored: StoredSession, text: string): Promise<number> {
    const { encoding, factor } = sessionEncoding(stored.session);
    const [count] = await this.#tokens.count([text], encoding);
    return count === undefined ? 0 : scaleCount(count, factor).count;
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

  #draft(stored: StoredSession, end: number): Promise<Draft> {
    const policy = compactionPolicy(stored);
    return this.#drafts.make(
      stored,
      { policy, dialect: Dialect.UNSPECIFIED, agent: "", authors: [] },
      () => false,
      { ...logOf(stored), head: end },
    );
  }
}

/** The session's own policy; how far back windows look does not matter to what they are made of. */
export function compactionPolicy({ session }: StoredSession): WindowPolicy {
  return { ...windowPolicy(session), maxTurns: 0, maxMessages: 0 };
}

/** There is nothing to be seen of the text. */
function isBlank(text: string): boolean {
  return /^[\s\p{Z}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]*$/u.test(text);
}
