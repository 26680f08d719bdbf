import { create } from "@bufbuild/protobuf";
import type { Compaction, RevisionRange } from "@sessiond/contract";
import {
  type CompactionState,
  CompactionStateSchema,
  type ContextState,
} from "@sessiond/contract/store";
import { limits } from "../../limits.ts";
import { type Hidden, isHidden, visibleParts } from "../history/visible.ts";
import type { GrowingNumbers } from "./growing-numbers.ts";

interface Known {
  readonly compaction: Compaction;
  readonly state: CompactionState;
}

/**
 * Works out of a log what its compactions leave: up to where each covers, and which older groups it
 * spares. Keeps them all: reverts and rewinds can lead back to any.
 */
export class CompactionLog {
  readonly #groups: GrowingNumbers;
  readonly #known = new Map<number, Known>();
  #looks = 0;

  /** `groups`: first revision of the group of every event up to now. */
  constructor(groups: GrowingNumbers) {
    this.#groups = groups;
  }

  /**
   * State that a compaction leads to in a session as it is before. A text says what is wrong with it.
   */
  add(
    revision: number,
    compaction: Compaction,
    { compaction: inForce, protected: guarded, hidden }: ContextState,
  ): CompactionState | string {
    const { previousRevision, covered, shortenedThrough, thinkingDroppedThrough } = compaction;
    if (previousRevision !== (inForce?.revision ?? 0)) {
      return "it follows another compaction than the one in force";
    }
    if (
      Math.max(shortenedThrough, thinkingDroppedThrough) >= revision ||
      !inOrder(covered, revision)
    ) {
      return "it covers revisions out of order, or behind itself";
    }
    const from = inForce?.coveredThrough ?? 0;
    const last = covered.at(-1)?.last ?? 0;
    this.#looks += Math.max(0, last - from) + (inForce?.sparedGroups.length ?? 0);
    if (this.#looks > limits.importLooks * (revision + 1_024)) {
      return "its compactions cover the same revisions too often";
    }
    const coveredThrough = Math.max(from, this.#youngest(covered, { from, hidden }));
    const isCovered = coveredBy(covered);
    const stayed = (inForce?.sparedGroups ?? []).filter((group) => !isCovered(group));
    // What was covered before is back where it was protected since, also while its range is named.
    const back = guarded.map(({ group }) => group);
    const spared = new Set([...stayed, ...back].filter((group) => group <= from));
    for (let at = from + 1; at < last; at++) {
      const group = this.#groups.at(at);
      if (group <= from || group > coveredThrough || isCovered(at)) continue;
      if (!isHidden(hidden, at)) spared.add(group);
    }
    const state = create(CompactionStateSchema, {
      revision,
      coveredThrough,
      shortenedThrough,
      thinkingDroppedThrough,
      summaryTokens: compaction.summaryTokens,
      sparedGroups: [...spared].sort((a, b) => a - b),
    });
    this.#known.set(revision, { compaction, state });
    return state;
  }

  /** A compaction that is taken back, and what was in force before it. */
  revert(revision: number): { compaction: Compaction; previous?: CompactionState } | undefined {
    const known = this.#known.get(revision);
    if (known === undefined) return undefined;
    const previous = this.#known.get(known.compaction.previousRevision)?.state;
    return { compaction: known.compaction, ...(previous && { previous }) };
  }

  /** First revision of the youngest group in the ranges behind a revision. */
  #youngest(
    covered: readonly RevisionRange[],
    { from, hidden }: { from: number; hidden: Hidden },
  ): number {
    let youngest = 0;
    for (const { first, last } of covered) {
      for (const part of visibleParts(hidden, { first: Math.max(first, from + 1), last })) {
        for (let at = part.first; at <= part.last; at++) {
          youngest = Math.max(youngest, this.#groups.at(at));
        }
      }
    }
    return youngest;
  }
}

function inOrder(ranges: readonly RevisionRange[], before: number): boolean {
  let behind = 0;
  for (const { first, last } of ranges) {
    if (first <= behind || last < first || last >= before) return false;
    behind = last;
  }
  return true;
}

/** Says whether a revision lies in ranges that are in order. */
function coveredBy(ranges: readonly RevisionRange[]): (revision: number) => boolean {
  return (revision) => {
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ranges[middle]?.last ?? 0) < revision) low = middle + 1;
      else high = middle;
    }
    const range = ranges[low];
    return range !== undefined && range.first <= revision;
  };
}
