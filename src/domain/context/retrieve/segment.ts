/** Passages a segment takes, so that the number of one fits 12 bits. */
export const segmentPassages = 4_096;

/** Terms of a passage beyond which the next one begins; also bounds how often one can occur. */
export const passageTerms = 128;

/*
 * All postings of a segment stand in one array, two words each:
 *
 *   word 0   12 bits number of the passage · 12 bits how many earlier passages have the term ·
 *            8 bits how often it occurs in this one
 *   word 1   place of the term's posting before this one, plus 1; 0: there is none
 *
 * The terms map to their newest posting. So a posting costs 8 bytes, where a map in a map, as in
 * MiniSearch, costs about 50.
 */
const passageShift = 20;
const earlierShift = 8;
const twelveBits = 0xfff;
const eightBits = 0xff;

/** Estimates of what V8 takes for an entry of a map, and for the string that is its key. */
const termBytes = 64;

/** Occurrences of one term in a segment. */
export interface Postings {
  /** Passages that have it. */
  readonly count: number;
  /** Calls back for each of them, newest added first. */
  each(visit: (passage: number, frequency: number) => void): void;
}

const none: Postings = { count: 0, each() {} };

/** An inverted index over up to 4,096 passages: pieces of the texts of events that lie together. */
export class Segment {
  readonly #newest = new Map<string, number>();
  #postings = new Uint32Array(1_024);
  #used = 0;
  #termUnits = 0;
  /** Group of each passage, by its first revision. */
  readonly groups: number[] = [];
  /** Terms of each passage. */
  readonly lengths: number[] = [];
  /** Terms of all passages. */
  totalLength = 0;
  /** Lowest and highest revision of the events in it. */
  first = Number.POSITIVE_INFINITY;
  last = 0;

  get isFull(): boolean {
    return this.groups.length >= segmentPassages;
  }

  /** Estimate of the memory it takes. */
  get bytes(): number {
    return (
      this.#postings.byteLength +
      this.#newest.size * termBytes +
      this.#termUnits +
      16 * this.groups.length
    );
  }

  /** Adds a piece of an event's text, which must have fewer than 256 terms. The segment must not be full. */
  add(passage: { group: number; revision: number; terms: readonly string[] }): void {
    const { group, revision, terms } = passage;
    const number = this.groups.length;
    this.groups.push(group);
    this.lengths.push(terms.length);
    this.totalLength += terms.length;
    this.first = Math.min(this.first, revision);
    this.last = Math.max(this.last, revision);
    const frequencies = new Map<string, number>();
    for (const term of terms) frequencies.set(term, (frequencies.get(term) ?? 0) + 1);
    for (const [term, frequency] of frequencies) this.#addPosting(term, number, frequency);
  }

  postings(term: string): Postings {
    const newest = this.#newest.get(term);
    if (newest === undefined) return none;
    const words = this.#postings;
    const earlier = ((words[2 * newest] ?? 0) >>> earlierShift) & twelveBits;
    return {
      count: earlier + 1,
      each(visit) {
        for (let next = newest + 1; next !== 0; next = words[2 * next - 1] ?? 0) {
          const word = words[2 * next - 2] ?? 0;
          visit(word >>> passageShift, word & eightBits);
        }
      },
    };
  }

  #addPosting(term: string, passage: number, frequency: number): void {
    const newest = this.#newest.get(term);
    const earlier =
      newest === undefined
        ? 0
        : (((this.#postings[2 * newest] ?? 0) >>> earlierShift) & twelveBits) + 1;
    const place = this.#used++;
    if (2 * place >= this.#postings.length) this.#grow();
    this.#postings[2 * place] = (passage << passageShift) | (earlier << earlierShift) | frequency;
    this.#postings[2 * place + 1] = newest === undefined ? 0 : newest + 1;
    if (newest === undefined) {
      this.#termUnits += term.length;
      this.#newest.set(ownText(term), place);
    } else this.#newest.set(term, place);
  }

  #grow(): void {
    const larger = new Uint32Array(2 * this.#postings.length);
    larger.set(this.#postings);
    this.#postings = larger;
  }
}

/** V8 keeps a piece of 13 units or more as a view of the text it was cut from, which must not live on. */
function ownText(term: string): string {
  return term.length < 13 ? term : Buffer.from(term).toString();
}
