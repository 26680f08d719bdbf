import type { GroupSize, Hit, Neighbours } from "./retriever.ts";

/** Hits to ask a retriever for: more change nothing, since scores fall off and spread only a little. */
export const hitsToChooseFrom = 512;

/** Share of the room beside what must stay that the newest groups take when there is a query. */
export const recentShare = 0.15;

/** What a group's score gives to the groups next to it, and from there on to each further one. */
const nearShare = 0.4;
const furtherShare = 0.5;
const reach = 4;

/** A group that a query brings into a window. */
export interface Chosen extends GroupSize {
  /** It fits the query by itself, or it stands near groups that do. */
  readonly reason: "query" | "neighbour";
}

/**
 * Chooses the groups that fill `room` tokens best, best first.
 *
 * A hit's score spreads to its neighbours, since an answer stands behind its question and talk about
 * one thing stands together; a group gathers what it gets from all sides. Then groups are taken by
 * score, of equals the newest first, each that still has room. Pure: the same hits give the same choice.
 */
export function choose(args: {
  hits: readonly Hit[];
  /** Tokens to fill. */
  room: number;
  /** Only groups that begin before this revision. */
  before: number;
  neighbours: (group: number) => Neighbours;
  /** Tokens of a group in the window, where they differ from those counted. 0 or less: it is there already. */
  tokensOf?: (group: GroupSize) => number;
}): Chosen[] {
  const { hits, room, before, neighbours, tokensOf = ({ tokens }) => tokens } = args;
  const found = new Set(hits.map(({ group }) => group));
  const chosen: Chosen[] = [];
  let left = room;
  for (const size of ranked(spread(hits, neighbours))) {
    const { group } = size;
    const tokens = tokensOf(size);
    if (group >= before || tokens > left) continue;
    left -= tokens;
    chosen.push({ group, tokens, reason: found.has(group) ? "query" : "neighbour" });
  }
  return chosen;
}

interface Scored extends GroupSize {
  score: number;
}

function spread(
  hits: readonly Hit[],
  neighbours: (group: number) => Neighbours,
): ReadonlyMap<number, Scored> {
  const scores = new Map<number, Scored>();
  const give = ({ group, tokens }: GroupSize, score: number) => {
    const known = scores.get(group);
    if (known === undefined) scores.set(group, { group, tokens, score });
    else known.score += score;
  };
  // Sums depend on their order; the choice must not.
  for (const hit of hits.toSorted((a, b) => a.group - b.group)) {
    give(hit, hit.score);
    for (const side of ["before", "after"] as const) {
      let share = nearShare;
      let next = neighbours(hit.group)[side];
      for (let steps = 0; steps < reach && next !== undefined; steps++) {
        give(next, share * hit.score);
        share *= furtherShare;
        next = neighbours(next.group)[side];
      }
    }
  }
  return scores;
}

function ranked(scores: ReadonlyMap<number, Scored>): Scored[] {
  return [...scores.values()].sort((a, b) => b.score - a.score || b.group - a.group);
}
