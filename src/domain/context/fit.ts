import type { Event } from "@sessiond/contract";
import type { Group } from "./groups.ts";
import { costOf, type Piece, piecesOf, type View } from "./pieces.ts";
import type { WindowPolicy } from "./policy.ts";
import {
  harder,
  keepWholeOf,
  oldResults,
  oldThinking,
  type Shortened,
  type Shortenings,
} from "./shortenings.ts";

/** Groups that fit a window, and how they are shown. */
export interface Fitted {
  /** In the order of their first events. */
  readonly kept: readonly Group[];
  readonly dropped: readonly Group[];
  readonly view: View;
  /** First revision of the oldest group that was kept for being recent. */
  readonly cut: number;
}

/** What a window may show, and what it must. */
export interface Choice {
  /** Groups the window may show, in the order of their first events. */
  readonly groups: readonly Group[];
  /** First revisions of groups that must stay. */
  readonly required: ReadonlySet<number>;
  /** Beginning of the current turn. */
  readonly turnRevision: number;
  /** All groups the session has for its windows are among `groups`. */
  readonly isComplete: boolean;
  /** Tokens of the log in front of a revision; never changes, however the log grows. */
  tokensBefore(revision: number): number;
  /** Tokens the groups may have. */
  readonly room: number;
}

/** Share of the room that a cut may leave unused, so that a window's beginning stays for a while. */
const cutShare = 0.1;

/** How far results are cut when even what must stay does not fit. */
const divisors = [1, 2, 4, 8, 16, 64] as const;

/**
 * Makes groups fit, cheapest first: it shortens old tool results, then leaves old thinking out, then
 * drops the oldest groups. When what must stay does not fit, it shortens its tool results too, more
 * and more. Undefined: it does not fit.
 *
 * A cut leaves up to a tenth of the room unused, so that the windows after it begin alike.
 */
export class Fitting {
  readonly #choice: Choice;
  readonly #policy: WindowPolicy;
  readonly #shortenings: Shortenings;
  #view: View;
  readonly #costs = new Map<Group, number>();

  constructor(args: {
    choice: Choice;
    policy: WindowPolicy;
    shortenings: Shortenings;
    view: View;
  }) {
    this.#choice = args.choice;
    this.#policy = args.policy;
    this.#shortenings = args.shortenings;
    this.#view = args.view;
  }

  get view(): View {
    return this.#view;
  }

  /** Tokens the groups may have. */
  get room(): number {
    return this.#choice.room;
  }

  /** Tokens of groups as they are shown now. */
  total(groups: Iterable<Group>): number {
    let sum = 0;
    for (const group of groups) sum += this.cost(group);
    return sum;
  }

  cost(group: Group): number {
    let cost = this.#costs.get(group);
    if (cost === undefined) {
      cost = costOf(this.pieces(group));
      this.#costs.set(group, cost);
    }
    return cost;
  }

  pieces(group: Group, reason = ""): Piece[] {
    return piecesOf(group, this.#view, reason);
  }

  /** Everything fits as it is, or after old results are shortened and old thinking is left out. */
  async reduce(): Promise<boolean> {
    const { groups, isComplete, room, turnRevision } = this.#choice;
    const fits = () => isComplete && this.total(groups) <= room;
    if (fits()) return true;
    const { toolResults } = this.#policy;
    await this.shorten(oldResults(groups, keepWholeOf(toolResults)));
    if (fits()) return true;
    this.omit(oldThinking(groups, turnRevision));
    return fits();
  }

  /** Shortens results, unless they are protected or were shortened already. */
  async shorten(results: readonly Event[], divisor = 1): Promise<void> {
    const open = results.filter(({ protection }) => protection === undefined);
    const { toolResults, encoding } = this.#policy;
    const policy = divisor === 1 ? toolResults : harder(toolResults, divisor);
    const shortened = await this.#shortenings.of(open, policy, encoding);
    this.#show({ shortened: new Map([...this.#view.shortened, ...shortened]) }, shortened.keys());
  }

  /** Leaves thinking out. */
  omit(thinking: readonly Event[]): void {
    this.#show({ omitted: new Set([...this.#view.omitted, ...thinking]) }, thinking);
  }

  /** What must stay, made as small as it has to be. Undefined: it does not fit. */
  async require(): Promise<Group[] | undefined> {
    const { groups, required, room } = this.#choice;
    const stay = groups.filter(({ first }) => required.has(first));
    if (this.total(stay) <= room) return stay;
    const results = oldResults(stay, 0);
    for (const divisor of divisors) {
      await this.shorten(results, divisor);
      if (this.total(stay) <= room) return stay;
    }
    return undefined;
  }

  /** The newest groups beside some that stay, as many as fit into the room with them. */
  newest(stay: readonly Group[], room: number): Group[] {
    const kept = new Set(stay);
    let left = room - this.total(stay);
    const newest: Group[] = [];
    for (const group of this.#choice.groups.toSorted((a, b) => b.last - a.last)) {
      if (kept.has(group)) continue;
      left -= this.cost(group);
      if (left < 0) break;
      newest.push(group);
    }
    return newest;
  }

  /**
   * What must stay and, of the other groups, the newest that fit.
   *
   * The oldest of these that take up to a tenth of the room may go too: the cut lies at the roundest
   * place of the log among them. While a log grows both of their ends move forward, so it stays until
   * it is behind them, or a rounder one is among them.
   */
  recent(stay: readonly Group[]): Fitted {
    const { groups, isComplete, tokensBefore } = this.#choice;
    const newest = this.newest(stay, this.room);
    const place = (group: Group | undefined) => tokensBefore(group?.last ?? 0);
    if (!(isComplete && stay.length + newest.length === groups.length)) {
      const cut = roundest(place(newest.at(-1)), place(this.#latestCut(newest)));
      while (newest.length > 1 && place(newest.at(-1)) < cut) newest.pop();
    }
    return this.fitted([...stay, ...newest], newest.at(-1)?.first ?? 0);
  }

  /** The oldest of the newest groups when as many went as a cut may leave out. */
  #latestCut(newest: readonly Group[]): Group | undefined {
    let oldest = newest.at(-1);
    let left = this.room * cutShare;
    for (const group of newest.toReversed()) {
      oldest = group;
      left -= this.cost(group);
      if (left < 0) break;
    }
    return oldest;
  }

  fitted(groups: readonly Group[], cut: number): Fitted {
    const kept = new Set(groups);
    return {
      kept: [...kept].sort((a, b) => a.first - b.first),
      dropped: this.#choice.groups.filter((group) => !kept.has(group)),
      view: this.#viewOf(groups),
      cut,
    };
  }

  /** The view without what it does to other groups: how many of them were read says nothing. */
  #viewOf(groups: readonly Group[]): View {
    const firsts = new Set(groups.map(({ first }) => first));
    const { shortened, omitted } = this.#view;
    return {
      ...this.#view,
      shortened: new Map([...shortened].filter(([{ group }]) => firsts.has(group))),
      omitted: new Set([...omitted].filter(({ group }) => firsts.has(group))),
    };
  }

  #show(
    change: { shortened: ReadonlyMap<Event, Shortened> } | { omitted: ReadonlySet<Event> },
    changed: Iterable<Event>,
  ): void {
    this.#view = { ...this.#view, ...change };
    const groups = new Set<number>();
    for (const { group } of changed) groups.add(group);
    for (const group of this.#costs.keys()) {
      if (groups.has(group.first)) this.#costs.delete(group);
    }
  }
}

/** The number of a range, both ends in it, that the greatest power of two divides. */
function roundest(from: number, to: number): number {
  if (from <= 0 && to >= 0) return 0;
  let step = 1;
  while (Math.floor(to / (2 * step)) * 2 * step >= from) step *= 2;
  return Math.floor(to / step) * step;
}
