/** What passages of a group beside its best one add to its score. */
const otherPassages = 0.2;

/** Groups kept for each one that is asked for, so that they are sorted rarely. */
const slack = 4;

/** The groups with the best scores so far, of equals the newest. */
export class BestGroups {
  readonly #limit: number;
  readonly #scores = new Map<number, number>();
  /** Scores below it are of no use any more. */
  #least = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes the score of a passage: a group counts as much as its best one, and a little for others. */
  add(group: number, score: number): void {
    if (score < this.#least) return;
    const known = this.#scores.get(group) ?? 0;
    const best = Math.max(known, score);
    this.#scores.set(group, best + otherPassages * (known + score - best));
    if (this.#scores.size > slack * this.#limit) this.#prune();
  }

  /** Groups and scores, best first, as many as asked for. */
  all(): [group: number, score: number][] {
    return [...this.#scores]
      .sort(([groupA, a], [groupB, b]) => b - a || groupB - groupA)
      .slice(0, this.#limit);
  }

  #prune(): void {
    const kept = this.all();
    this.#least = kept.at(-1)?.[1] ?? 0;
    this.#scores.clear();
    for (const [group, score] of kept) this.#scores.set(group, score);
  }
}
