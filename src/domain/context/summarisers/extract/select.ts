import { setImmediate } from "node:timers/promises";
import { type Fragment, separator } from "./fragments.ts";
import { contentWords, informationOf, noteOf } from "./information.ts";

/** A fragment with what decides whether it stays. */
export interface Candidate extends Fragment {
  /** The fragment in note form; as short or shorter. */
  readonly note: string;
  readonly value: number;
  /** Tokens, estimated, with the separator. */
  readonly tokens: number;
  readonly noteTokens: number;
}

/** Of the room of a summary, the share that the best fragments get to stand there whole. */
const wholeShare = 0.5;
/** Fragments that are valued before others get their turn; about 5 ms. */
const turnFragments = 256;
/** Tokens of the beginning of a line, estimated. */
const lineTokens = 3;

/**
 * Values fragments, oldest first, and leaves out what was said before: of fragments with the same
 * words the newest stays. Of those that differ in digits only, each older one is worth less.
 *
 * A word that few fragments have makes a fragment worth more, as it is what the fragment is about.
 * Lets others run every few milliseconds.
 */
export async function toCandidates(fragments: readonly Fragment[]): Promise<Candidate[]> {
  const newest = new Map(fragments.map((fragment) => [keyOf(fragment.text), fragment]));
  const distinct = new Set(newest.values());
  const frequency = new Map<string, number>();
  for (const { text } of distinct) {
    for (const word of contentWords(text)) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  }
  const shapes = new Map<string, number>();
  const candidates: Candidate[] = [];
  for (let index = fragments.length - 1; index >= 0; index--) {
    const fragment = fragments[index];
    if (fragment === undefined || !distinct.has(fragment)) continue;
    const shape = fragment.text.replace(/\d+/g, "0");
    const alike = (shapes.get(shape) ?? 0) + 1;
    shapes.set(shape, alike);
    const told = informationOf(fragment.text) + noveltyOf(fragment.text, frequency, distinct.size);
    const note = noteOf(fragment.text) || fragment.text;
    candidates.push({
      ...fragment,
      note,
      value: (told * fragment.weight) / alike,
      tokens: estimate(fragment.text) + 1,
      noteTokens: estimate(note) + 1,
    });
    if (candidates.length % turnFragments === 0) await setImmediate();
  }
  return candidates.reverse();
}

/** 0 to 4: how rare the rarest four words are. */
function noveltyOf(text: string, frequency: ReadonlyMap<string, number>, all: number): number {
  const rarest = [...contentWords(text)]
    .map((word) => frequency.get(word) ?? 1)
    .sort((a, b) => a - b)
    .slice(0, 4);
  return rarest.reduce((sum, count) => sum + Math.log((1 + all) / count) / Math.log(1 + all), 0);
}

/**
 * Chooses what stays within a number of estimated tokens, and in which form; in order.
 *
 * All of it whole if it fits. Otherwise the best by value for their tokens: first whole ones, then,
 * when half of the room is taken, notes. Short facts so go before long sentences, and of equals the
 * newer one.
 */
export function select(candidates: readonly Candidate[], room: number): Fragment[] {
  const everything = candidates.reduce((sum, { tokens }) => sum + tokens, 0);
  const lines = new Set(candidates.map(({ line }) => line)).size;
  if (everything + lines * lineTokens <= room) return [...candidates];

  const ranked = candidates
    .map((candidate, index) => ({ candidate, index }))
    .sort((a, b) => rank(b.candidate) - rank(a.candidate) || b.index - a.index);
  const chosen = new Map<number, Fragment>();
  const begun = new Set<string>();
  let left = room;
  for (const { candidate, index } of ranked) {
    const isWhole = left > room * (1 - wholeShare);
    const line = `${candidate.speaker}:${candidate.line}`;
    const cost =
      (isWhole ? candidate.tokens : candidate.noteTokens) + (begun.has(line) ? 0 : lineTokens);
    if (cost > left) continue;
    left -= cost;
    begun.add(line);
    chosen.set(index, isWhole ? candidate : { ...candidate, text: candidate.note });
  }
  return candidates.flatMap((_, index) => chosen.get(index) ?? []);
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

/** Value for what it takes; the constant keeps single words from winning over sentences. */
function rank({ value, noteTokens }: Candidate): number {
  return value / (12 + noteTokens);
}

function keyOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}

/** About the truth for English; for other texts high. The exact count comes later. */
function estimate(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}
