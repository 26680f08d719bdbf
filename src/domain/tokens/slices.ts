import { CharClass, classAt, isBoundary } from "./characters.ts";
import type { Encoding } from "./protocol.ts";

/** Lengths in UTF-16 units. */
const defaults = {
  /** A run up to this length is still counted in one piece. */
  run: 1_024,
  /**
   * Longer runs are cut into pieces of this length. Tokenizers take time quadratic in a piece; at
   * this length a megabyte of any character takes a quarter of a second.
   */
  piece: 256,
  /** A text is cut at the first boundary behind this length, so that others get their turn. */
  slice: 8 * 1024,
};

/** Lengths for slices of which only the first few are needed. */
const fineLengths = { ...defaults, slice: 1_024 };

/** A part of a text that is counted at once. */
export interface Slice {
  readonly text: string;
  /** It is a piece of a run that had to be cut, so the sum may differ from the true count. */
  readonly estimated: boolean;
}

/**
 * Cuts a text so that the token counts of its slices add up to its own.
 *
 * Cuts fall on boundaries (see `characters.ts`), where they provably change nothing. A run of more
 * than 1,024 units without one is cut into pieces that are marked as estimated: a cut through a
 * token counts it as two or more, so the sum is hardly ever below the truth. No cut goes through a
 * surrogate pair. Nothing is read ahead further than the next slice or run.
 */
export function* slices(
  text: string,
  encoding: Encoding,
  lengths: typeof defaults = defaults,
): Generator<Slice> {
  const digitsByThree = encoding === "o200k_base" || encoding === "cl100k_base";
  let sliceStart = 0;
  let runStart = 0;
  let digits = 0;
  let left: number = CharClass.surrogate;
  for (let index = 0; index <= text.length; index++) {
    const atEnd = index === text.length;
    const right = atEnd ? CharClass.other : classAt(text, index);
    let boundary = atEnd || (index > 0 && isBoundary(left, right));
    if (right === CharClass.digit && digitsByThree) {
      // A digit run begins with a piece, whatever stands before it; so does each third digit.
      // Behind a surrogate, which may itself be a digit, the places are not known.
      if (left === CharClass.digit) digits = digits === 0 ? 0 : digits + 1;
      else digits = left === CharClass.surrogate && index > 0 ? 0 : 1;
      if (digits > 1 && digits % 3 === 1) boundary = true;
    }
    left = right;
    if (!boundary) continue;

    if (index - runStart > lengths.run) {
      if (runStart > sliceStart) yield exactSlice(text, sliceStart, runStart);
      yield* pieces(text, runStart, index, lengths.piece);
      sliceStart = index;
    } else if ((atEnd || index - sliceStart >= lengths.slice) && index > sliceStart) {
      yield exactSlice(text, sliceStart, index);
      sliceStart = index;
    }
    runStart = index;
  }
}

/** The same slices, but shorter, so that a beginning of few tokens costs little. */
export function slicesFromStart(text: string, encoding: Encoding): Generator<Slice> {
  return slices(text, encoding, fineLengths);
}

/**
 * Cuts a text into slices beginning with the last.
 *
 * Each reads as far back as it needs, so an end of few tokens costs little. Where the text has no
 * boundary for that long, the slice may begin inside a run and is marked as estimated.
 */
export function* slicesFromEnd(text: string, encoding: Encoding): Generator<Slice> {
  for (let end = text.length; end > 0; ) {
    const start = startBefore(text, end);
    yield* [...slices(text.slice(start, end), encoding, fineLengths)].reverse();
    end = start;
  }
}

/** A place before `end` to cut at: a boundary if there is one near, else between two characters. */
function startBefore(text: string, end: number): number {
  const from = end - 2 * fineLengths.run;
  if (from <= 0) return 0;
  for (let index = from; index < from + fineLengths.run; index++) {
    if (isBoundary(classAt(text, index - 1), classAt(text, index))) return index;
  }
  return isPair(text, from) ? from + 1 : from;
}

function* pieces(text: string, from: number, to: number, length: number): Generator<Slice> {
  for (let start = from; start < to; ) {
    let end = Math.min(start + length, to);
    if (end < to && isPair(text, end)) end -= 1;
    yield { text: text.slice(start, end), estimated: true };
    start = end;
  }
}

function exactSlice(text: string, from: number, to: number): Slice {
  return { text: text.slice(from, to), estimated: false };
}

/** True when the units before and at the index are one character. */
function isPair(text: string, index: number): boolean {
  return (
    (text.charCodeAt(index - 1) & 0xfc00) === 0xd800 && (text.charCodeAt(index) & 0xfc00) === 0xdc00
  );
}
