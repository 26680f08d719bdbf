import { setImmediate } from "node:timers/promises";
import { type Fragment, separator } from "./fragments.ts";
import { contentWords, informationOf, noteOf } from "./information.ts";

/** A fragment with what decides whether it stays. */
export interface Candidate extends Fragment {
  /** The fragment in note form; as short or shorter. */
  readonly note: string;
  /** Value for the tokens it takes; the greatest goes first. */
  readonly rank: number;
  /** Tokens, estimated, with the separator. */
  readonly tokens: number;
  readonly noteTokens: number;
}

/** What a summary can be made of. */
export interface Candidates {
  /** Oldest first. */
  readonly inOrder: readonly Candidate[];
  /** Indices of `inOrder`, the best first. */
  readonly ranked: readonly number[];
}

/** Of the room of a summary, the share that the best fragments get to stand there whole. */
const wholeShare = 0.5;
/** Fragments that are looked at before others get their turn; a few milliseconds. */
const turnFragments = 128;
/** Tokens of the beginning of a line, estimated. */
const lineTokens = 3;
/** Keeps single words from winning over sentences for being short. */
const leastTokens = 12;

/**
 * Values fragments, oldest first, and leaves out what was said before: of fragments with the same
 * words the newest stays. Of those that differ in digits only, each older one is worth less.
 *
 * A word that few fragments have makes a fragment worth more, as it is what the fragment is about.
 * Short facts so go before long sentences, and of equals the newer one. Lets others run every few
 * milliseconds.
 */
export async function toCandidates(fragments: readonly Fragment[]): Promise<Candidates> {
  const distinct = await newestOfEach(fragments);
  const frequency = new Map<string, number>();
  for (const { words } of distinct) {
    for (const word of words) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  }
  const shapes = new Map<string, number>();
  const newestFirst: Candidate[] = [];
  for (const { fragment, note, words } of distinct) {
    const shape = fragment.text.replace(/\d+/g, "0");
    const alike = (shapes.get(shape) ?? 0) + 1;
    shapes.set(shape, alike);
    const told = informationOf(fragment.text) + noveltyOf(words, frequency, distinct.length);
    const noteTokens = estimate(note) + 1;
    newestFirst.push({
      ...fragment,
      note,
      rank: (told * fragment.weight) / alike / (leastTokens + noteTokens),
      tokens: estimate(fragment.text) + 1,
      noteTokens,
    });
    if (newestFirst.length % turnFragments === 0) await setImmediate();
  }
  const inOrder = newestFirst.reverse();
  const ranks = inOrder.map(({ rank }) => rank);
  const ranked = ranks.map((_, index) => index);
  ranked.sort((a, b) => (ranks[b] ?? 0) - (ranks[a] ?? 0) || b - a);
  return { inOrder, ranked };
}

interface Said {
  readonly fragment: Fragment;
  readonly note: string;
  readonly words: ReadonlySet<string>;
}

/** Newest first, each said once. A sentence and its note are the same, however they are written. */
async function newestOfEach(fragments: readonly Fragment[]): Promise<Said[]> {
  const keys = new Set<string>();
  const distinct: Said[] = [];
  for (const [index, fragment] of fragments.toReversed().entries()) {
    if (index % turnFragments === turnFragments - 1) await setImmediate();
    const note = noteOf(fragment.text) || fragment.text;
    const key = note
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, " ")
      .trim();
    if (keys.has(key)) continue;
    keys.add(key);
    distinct.push({ fragment, note, words: contentWords(fragment.text) });
  }
  return distinct;
}

/** 0 to 4: how rare the rarest four words are. */
function noveltyOf(
  words: ReadonlySet<string>,
  frequency: ReadonlyMap<string, number>,
  all: number,
): number {
  const rarest = [...words]
    .map((word) => frequency.get(word) ?? 1)
    .sort((a, b) => a - b)
    .slice(0, 4);
  return rarest.reduce((sum, count) => sum + Math.log((1 + all) / count) / Math.log(1 + all), 0);
}

/**
 * Chooses what stays within a number of estimated tokens, and in which form; in order.
 *
 * All of it whole if it fits. Otherwise the best: first whole ones, then, when half of the room is
 * taken, notes.
 */
export function select({ inOrder, ranked }: Candidates, room: number): readonly Fragment[] {
  const everything = inOrder.reduce((sum, { tokens }) => sum + tokens, 0);
  const lines = new Set(inOrder.map(({ line }) => line)).size;
  if (everything + lines * lineTokens <= room) return inOrder;

  const chosen = new Map<number, Fragment>();
  const begun = new Set<string>();
  let left = room;
  for (const index of ranked) {
    const candidate = inOrder[index];
    if (candidate === undefined || left < lineTokens) break;
    const isWhole = left > room * (1 - wholeShare);
    const line = `${candidate.speaker}:${candidate.line}`;
    const cost =
      (isWhole ? candidate.tokens : candidate.noteTokens) + (begun.has(line) ? 0 : lineTokens);
    if (cost > left) continue;
    left -= cost;
    begun.add(line);
    chosen.set(index, isWhole ? candidate : { ...candidate, text: candidate.note });
  }
  return [...chosen].sort(([a], [b]) => a - b).map(([, fragment]) => fragment);
}

/** Lines of fragments: one for each group that still says something. */
export function render(fragments: readonly Fragment[]): string {
  const lines = new Map<string, string>();
  for (const { text, speaker, line } of fragments) {
    const key = `${line} ${speaker}`;
    const before = lines.get(key);
    lines.set(key, before === undefined ? begin(speaker, text) : before + separator + text);
  }
  return [...lines.values()].join("\n");
}

function begin(speaker: string, text: string): string {
  return speaker === "" ? text : `${speaker}: ${text}`;
}

/** About the truth for English; for other texts high. The exact count comes later. */
function estimate(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}
