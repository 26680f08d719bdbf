import type { Encoding } from "./protocol.ts";
import { type Slice, slices, slicesFromEnd, slicesFromStart } from "./slices.ts";

/*
 * What the worker does with a text, as steps: a step takes a slice, and between two of them other
 * texts may have their turn.
 */

/** The part of a tokenizer that is needed. */
export interface Tokenizer {
  encode(text: string): Uint32Array;
  /** UTF-8 of tokens. They may begin and end inside a character. */
  decode(tokens: Uint32Array): Uint8Array;
}

interface Text {
  readonly text: string;
  readonly encoding: Encoding;
  readonly tokenizer: Tokenizer;
}

export interface Count {
  readonly count: number;
  readonly estimated: boolean;
}

/** The two ends of a text that stay. Lengths in UTF-16 units. */
export interface Cut {
  readonly headLength: number;
  readonly tailLength: number;
  /** Tokens of both. */
  readonly keptTokens: number;
}

type Steps<T> = Generator<undefined, T, undefined>;

/** Counts the tokens of a text. */
export function* countSteps({ text, encoding, tokenizer }: Text): Steps<Count> {
  let count = 0;
  let estimated = false;
  for (const slice of slices(text, encoding)) {
    count += tokenizer.encode(slice.text).length;
    estimated ||= slice.estimated;
    yield;
  }
  return { count, estimated };
}

/** Finds the first and the last tokens of a text; undefined when they meet. */
export function* cutSteps(
  { text, encoding, tokenizer }: Text,
  keep: { readonly headTokens: number; readonly tailTokens: number },
): Steps<Cut | undefined> {
  const head = yield* takeSteps(slicesFromStart(text, encoding), tokenizer, {
    maxTokens: keep.headTokens,
    from: "start",
  });
  if (head.length === text.length) return undefined;
  const tail = yield* takeSteps(slicesFromEnd(text, encoding), tokenizer, {
    maxTokens: keep.tailTokens,
    from: "end",
  });
  if (head.length + tail.length >= text.length) return undefined;
  return {
    headLength: head.length,
    tailLength: tail.length,
    keptTokens: head.tokens + tail.tokens,
  };
}

interface Taken {
  readonly length: number;
  readonly tokens: number;
}

/** Takes slices until there are enough tokens; of the last slice only those that are missing. */
function* takeSteps(
  parts: Iterable<Slice>,
  tokenizer: Tokenizer,
  { maxTokens, from }: { maxTokens: number; from: "start" | "end" },
): Steps<Taken> {
  let length = 0;
  let taken = 0;
  if (maxTokens === 0) return { length, tokens: taken };
  for (const { text } of parts) {
    const tokens = tokenizer.encode(text);
    const missing = maxTokens - taken;
    if (tokens.length > missing) {
      const kept = from === "start" ? tokens.slice(0, missing) : tokens.slice(-missing);
      return { length: length + wholeLength(tokenizer.decode(kept)), tokens: maxTokens };
    }
    length += text.length;
    taken += tokens.length;
    if (taken === maxTokens) break;
    yield;
  }
  return { length, tokens: taken };
}

/**
 * UTF-16 units of the whole characters in a piece of UTF-8, which may begin and end inside one.
 *
 * They are as many as in the text it was made of, also for half pairs: tokenizers see U+FFFD there.
 */
function wholeLength(bytes: Uint8Array): number {
  const first = bytes.findIndex((byte) => (byte & 0xc0) !== 0x80);
  if (first === -1) return 0;
  // A stream keeps the beginning of a character that is not complete yet to itself.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return decoder.decode(bytes.subarray(first), { stream: true }).length;
}
