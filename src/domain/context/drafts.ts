import type { Dialect, Event, RevisionRange } from "@sessiond/contract";
import type { ContextState } from "@sessiond/contract/store";
import type { StoredSession } from "../../store/store.ts";
import type { TokenCounter } from "../tokens/counter.ts";
import { countEvents } from "../tokens/media.ts";
import { type EventCache, type Log, logOf } from "./event-cache.ts";
import { Fitting } from "./fit.ts";
import type { Group } from "./groups.ts";
import { InstructionSizes, type Instructions } from "./instruction-sizes.ts";
import { type Frame, frameTokens } from "./items.ts";
import { type Material, readMaterial } from "./material.ts";
import { substitutesIn } from "./pieces.ts";
import { sessionEncoding, type WindowPolicy } from "./policy.ts";
import { type Scope, scopeOf, visibleGroups } from "./scope.ts";
import { reducedBefore, Shortenings } from "./shortenings.ts";
import { EventSizes } from "./sizes.ts";
import { stateOf } from "./state.ts";
import { readCompaction, type Summary, summaryEvent } from "./summary.ts";

/** What a window is asked for, with everything that was left out filled in. */
export interface Wish {
  readonly policy: WindowPolicy;
  readonly dialect: Dialect;
  readonly agent: string;
  readonly authors: readonly string[];
  /** Default: what the session's head says. */
  readonly state?: ContextState;
}

/** A session's window in the making. */
export interface Draft extends Wish {
  readonly stored: StoredSession;
  readonly state: ContextState;
  readonly log: Log;
  readonly scope: Scope;
  readonly frame: Frame;
  readonly material: Material;
  /** Groups of the material that the window may show. */
  readonly visible: readonly Group[];
  /** What the compaction in force covers. */
  readonly covered: readonly RevisionRange[];
}

/** Share of the room that a summary has at most in a window smaller than it was made for. */
export const summaryShare = 0.3;

/** Collects what windows and compactions are made of, with its sizes. */
export class Drafts {
  readonly #cache: EventCache;
  readonly #tokens: TokenCounter;
  readonly #instructions: InstructionSizes;
  readonly #shortenings: Shortenings;
  /** Tokens of events in the encodings of windows. */
  readonly sizes: EventSizes;

  constructor(args: { cache: EventCache; tokens: TokenCounter }) {
    this.#cache = args.cache;
    this.#tokens = args.tokens;
    this.sizes = new EventSizes(args);
    this.#instructions = new InstructionSizes(args);
    this.#shortenings = new Shortenings({ tokens: args.tokens, sizes: this.sizes });
  }

  /**
   * Reads the newest groups of a log until they are enough, and those that must stay.
   *
   * Errors: DataLossError, NotSupportedError.
   */
  async make(
    stored: StoredSession,
    wish: Wish,
    isEnough: (events: readonly Event[]) => boolean,
    log: Log = logOf(stored),
  ): Promise<Draft> {
    const { session } = stored;
    const { policy, dialect, authors } = wish;
    const { encoding } = policy;
    const state = wish.state ?? stateOf(stored);
    const scope = scopeOf(state);
    const [instructions, { summary, covered }, material] = await Promise.all([
      this.#instructions.of(session, state, encoding),
      readCompaction({
        cache: this.#cache,
        log,
        compaction: state.compaction,
        encoding: sessionEncoding(session),
      }),
      readMaterial({
        cache: this.#cache,
        log,
        state,
        after: scope.coveredThrough,
        wanted: [...scope.required, ...scope.spared],
        isEnough,
      }),
    ]);
    const visible = visibleGroups(material.groups, { scope, policy, authors });
    const events = visible.flatMap((group) => [...group.events, ...substitutesIn(group)]);
    if (summary !== undefined) events.push(summary.event);
    await this.sizes.prepare(events, encoding);
    const frame = {
      instructions,
      summary: await this.#fitting(summary, policy, instructions),
      dialect,
      encoding,
      sizes: this.sizes,
    };
    return { ...wish, stored, state, log, scope, frame, material, visible, covered };
  }

  /** A summary was made for the session's own budget: for a smaller one its end is cut off. */
  async #fitting(
    summary: Summary | undefined,
    { room, encoding }: WindowPolicy,
    { instructionTokens, toolTokens }: Instructions,
  ): Promise<Summary | undefined> {
    if (summary === undefined) return undefined;
    const wholeTokens = this.sizes.of(summary.event, encoding)?.count ?? 0;
    const most = Math.max(0, room - instructionTokens - toolTokens) * summaryShare;
    if (wholeTokens <= most) return summary;
    const headTokens = Math.floor(most / encoding.factor);
    const cut = await this.#tokens.shorten(
      summary.text,
      { headTokens, tailTokens: 0, wholeTokens },
      encoding.encoding,
    );
    if (cut === undefined) return summary;
    const event = summaryEvent(`${cut.head} […]`);
    const [tokens] = await countEvents(this.#tokens, [event], encoding);
    if (tokens !== undefined) event.tokens = tokens;
    return { ...summary, event };
  }

  /** A fitting of the draft's groups, with what its compaction and policy reduce in any case. */
  async fitting(draft: Draft): Promise<Fitting> {
    const { policy, visible, scope, state, frame } = draft;
    const fitting = new Fitting({
      policy,
      shortenings: this.#shortenings,
      view: {
        dialect: draft.dialect,
        encoding: policy.encoding,
        sizes: this.sizes,
        agent: draft.agent,
        shortened: new Map(),
        omitted: new Set(),
      },
      choice: {
        groups: visible,
        required: scope.required,
        turnRevision: state.turnRevision,
        isComplete: isComplete(draft),
        tokensBefore: tokensBefore(draft),
        room: policy.room - frameTokens(frame),
      },
    });
    const reduced = reducedBefore(visible, state, policy);
    await fitting.shorten(reduced.results);
    fitting.omit(reduced.thinking);
    return fitting;
  }
}

/** Everything that no compaction covers was read. */
export function isComplete({ material, scope }: Pick<Draft, "material" | "scope">): boolean {
  return material.completeFrom <= scope.coveredThrough + 1;
}

/** Tokens of the log in front of a revision of the tail, from the head's sum backwards. */
function tokensBefore({ stored, material }: Draft): (revision: number) => number {
  const { tail } = material;
  const total = stored.head.metrics?.tokens?.total ?? 0;
  const sums = new Float64Array(tail.length + 1);
  for (let index = tail.length - 1; index >= 0; index--) {
    sums[index] = (sums[index + 1] ?? 0) + (tail[index]?.tokens?.count ?? 0);
  }
  return (revision) => total - (sums[placeOf(tail, revision)] ?? 0);
}

/** Place of the first event at a revision or behind it. */
function placeOf(events: readonly Event[], revision: number): number {
  // Unless a rewind hides some of them, the place follows from the revision.
  const place = revision - (events[0]?.revision ?? 0);
  if (events[place]?.revision === revision) return place;
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((events[middle]?.revision ?? 0) < revision) low = middle + 1;
    else high = middle;
  }
  return low;
}
