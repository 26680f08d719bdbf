import type { Event } from "@sessiond/contract";
import type { Draft } from "./drafts.ts";
import type { EventCache } from "./event-cache.ts";
import type { Fitted, Fitting } from "./fit.ts";
import type { Group } from "./groups.ts";
import { readMaterial } from "./material.ts";
import { substitutesIn } from "./pieces.ts";
import { choose, hitsToChooseFrom, recentShare } from "./retrieve/choose.ts";
import type { Indexes } from "./retrieve/indexes.ts";
import { isUserMessage, visibleGroups } from "./scope.ts";
import type { EventSizes } from "./sizes.ts";

/** Groups that a query brought into a window. */
export interface Retrieved {
  /** Why each is there, by first revision. */
  readonly reasons: ReadonlyMap<number, "query" | "neighbour">;
  /** The index did not reach back to all older events. */
  readonly partial: boolean;
}

interface RetrievalArgs {
  readonly draft: Draft;
  readonly fitting: Fitting;
  /** Groups that must stay. */
  readonly stay: readonly Group[];
  readonly query: string;
}

/** Chooses older groups by a query, beside a recent tail. */
export class Retrieval {
  readonly #cache: EventCache;
  readonly #indexes: Indexes;
  readonly #sizes: EventSizes;

  constructor(args: { cache: EventCache; indexes: Indexes; sizes: EventSizes }) {
    this.#cache = args.cache;
    this.#indexes = args.indexes;
    this.#sizes = args.sizes;
  }

  /** Errors: DataLossError. */
  async fit(args: RetrievalArgs): Promise<{ fitted: Fitted; retrieved: Retrieved }> {
    const { draft, fitting, stay, query } = args;
    const { log } = draft;
    const { room } = fitting;
    const left = room - fitting.total(stay);
    const recent = fitting.newest(stay, room - left * (1 - recentShare));
    const before = recent.at(-1)?.first ?? log.head + 1;
    const { retriever, partial } = await this.#indexes.get(log);
    const { hidden } = draft.state;
    const hits = await retriever.search(query, { before, limit: hitsToChooseFrom, hidden });
    const there = new Set([...stay, ...recent].map(({ first }) => first));
    const chosen = choose({
      hits,
      room: left - fitting.total(recent),
      before,
      neighbours: (group) => retriever.neighbours(group, hidden),
      tokensOf: ({ group, tokens }) => (there.has(group) ? 0 : tokens),
    }).filter(({ group }) => !there.has(group));
    const reasons = new Map(chosen.map(({ group, reason }) => [group, reason]));
    const found = await this.#read(draft, reasons.keys());
    const kept = [...stay, ...recent];
    let rest = room - fitting.total(kept);
    // What was counted at append may be less than what is shown: the least worth give way.
    const byName = new Map(found.map((group) => [group.first, group]));
    for (const { group: name } of chosen) {
      const group = byName.get(name);
      const cost = group === undefined ? 0 : fitting.cost(group);
      if (group === undefined || cost > rest) continue;
      rest -= cost;
      kept.push(group);
    }
    const more = fitting.newest(kept, room);
    return {
      fitted: fitting.fitted([...kept, ...more], before),
      retrieved: { reasons, partial },
    };
  }

  /**
   * Groups by name, as far as the window may show them. An amended call was found by the words it had
   * when it was appended, and is shown with those it has now.
   */
  async #read(draft: Draft, wanted: Iterable<number>): Promise<Group[]> {
    const { log, state, scope, policy, authors } = draft;
    const names = new Set(wanted);
    const { groups } = await readMaterial({
      cache: this.#cache,
      log,
      state,
      after: log.head,
      wanted: names,
      isEnough: () => true,
    });
    // What a compaction covers is found all the same: that is what a query is for.
    const found = groups.filter(({ first }) => names.has(first));
    const visible = visibleGroups(found, {
      scope: { ...scope, coveredThrough: 0 },
      policy: { ...policy, maxMessages: 0, maxTurns: 0 },
      authors,
    });
    await this.#sizes.prepare(
      visible.flatMap((group) => [...group.events, ...substitutesIn(group)]),
      policy.encoding,
    );
    const known = new Map(draft.visible.map((group) => [group.first, group]));
    return visible.map((group) => known.get(group.first) ?? group);
  }
}

/** Text of the newest user message among groups; "" without one. */
export function newestUserText(groups: readonly Group[]): string {
  for (const { events } of groups.toReversed()) {
    const event: Event | undefined = events.findLast(isUserMessage);
    if (event?.payload.case === "message" && event.payload.value.text !== "") {
      return event.payload.value.text;
    }
  }
  return "";
}
