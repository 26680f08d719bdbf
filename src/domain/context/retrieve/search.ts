import { limits } from "../../../limits.ts";
import { isHidden } from "../../history/visible.ts";
import { BestGroups } from "./best-groups.ts";
import type { Hit, SearchOptions } from "./retriever.ts";
import type { Segment } from "./segment.ts";
import { synonymsOf } from "./synonyms.ts";
import { termsOf } from "./terms.ts";
import type { Turns } from "./turns.ts";

/** BM25's usual constants: how soon further occurrences of a term stop counting, and how much a passage's length counts. */
const saturation = 1.2;
const lengthShare = 0.75;

/** What a synonym counts of what the word itself would. */
const synonymShare = 0.3;

interface AskedTerm {
  readonly term: string;
  /** Passages that have it. */
  readonly count: number;
  /** BM25's inverse document frequency, or a share of it. */
  readonly weight: number;
}

/**
 * Groups of some segments that fit a query, best first; of equals the newest first.
 *
 * Scores passages by BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009), times one
 * plus the share of the query's weight that is in the passage: one that has two words of the query
 * beats one that has the same word twice. A group counts as much as its best passage, and a little
 * for the others.
 */
export async function search(
  segments: readonly Segment[],
  query: string,
  options: SearchOptions & { tokens: (group: number) => number; turns: Turns },
): Promise<Hit[]> {
  const { before, limit, hidden = [], tokens, turns } = options;
  const passages = segments.reduce((sum, segment) => sum + segment.groups.length, 0);
  const length = segments.reduce((sum, segment) => sum + segment.totalLength, 0);
  const asked = askedTerms(segments, { query, passages });
  const best = new BestGroups(limit);
  await turns.run(
    (function* () {
      for (const segment of segments) {
        yield;
        const scores = passageScores(segment, { asked, meanLength: length / passages });
        for (const [passage, score] of scores.entries()) {
          const group = segment.groups[passage] ?? 0;
          if (score > 0 && group < before && !isHidden(hidden, group)) best.add(group, score);
        }
      }
    })(),
  );
  return best.all().map(([group, score]) => ({ group, score, tokens: tokens(group) }));
}

/** The query's rarest terms, and the rarest of their synonyms; common ones say little, and cost the most. */
function askedTerms(
  segments: readonly Segment[],
  { query, passages }: { query: string; passages: number },
): AskedTerm[] {
  const terms = new Set<string>();
  for (const term of termsOf(query)) {
    terms.add(term);
    if (terms.size === limits.queryTerms) break;
  }
  const synonyms = new Set<string>();
  for (const term of terms) {
    for (const synonym of synonymsOf(term)) if (!terms.has(synonym)) synonyms.add(synonym);
  }
  const rarest = (words: ReadonlySet<string>, share: number): AskedTerm[] =>
    Array.from(words, (term) => {
      const count = segments.reduce((sum, segment) => sum + segment.postings(term).count, 0);
      const weight = share * Math.log(1 + (passages - count + 0.5) / (count + 0.5));
      return { term, count, weight };
    })
      .filter(({ count }) => count > 0)
      .sort((a, b) => a.count - b.count)
      .slice(0, limits.scoredQueryTerms);
  return [...rarest(terms, 1), ...rarest(synonyms, synonymShare)];
}

function passageScores(
  segment: Segment,
  { asked, meanLength }: { asked: readonly AskedTerm[]; meanLength: number },
): Float64Array {
  const scores = new Float64Array(segment.groups.length);
  const present = new Float64Array(segment.groups.length);
  const askedWeight = asked.reduce((sum, { weight }) => sum + weight, 0);
  for (const { term, weight } of asked) {
    segment.postings(term).each((passage, frequency) => {
      const relativeLength = (segment.lengths[passage] ?? 0) / meanLength;
      const norm = saturation * (1 - lengthShare + lengthShare * relativeLength);
      scores[passage] =
        (scores[passage] ?? 0) + (weight * frequency * (saturation + 1)) / (frequency + norm);
      present[passage] = (present[passage] ?? 0) + weight / askedWeight;
    });
  }
  return scores.map((score, passage) => score * (1 + (present[passage] ?? 0)));
}
