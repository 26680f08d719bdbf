import type { Cut } from "./jobs.ts";

/** Encodings with a public tokenizer. Messages name one by its index. */
export const encodings = [
  "o200k_base",
  "cl100k_base",
  "p50k_base",
  "p50k_edit",
  "r50k_base",
  "gpt2",
] as const;

export type Encoding = (typeof encodings)[number];

/** What the worker is sent. */
export type Request = CountRequest | CutRequest;

/** What comes back. */
export type Reply = CountReply | CutReply;

/** Texts to count. The text at index i has the id `firstId` + i. */
export interface CountRequest {
  readonly firstId: number;
  readonly texts: readonly string[];
  /** For each text the index of its encoding in `encodings`. */
  readonly encodings: Uint8Array;
}

/** Counts that are ready, in any order. The three arrays have one length. */
export interface CountReply {
  readonly ids: Uint32Array;
  readonly counts: Uint32Array;
  /** 1 where a count was estimated. */
  readonly estimated: Uint8Array;
}

/** A text to find the ends of. Its ids are apart from those of counts. */
export interface CutRequest {
  readonly id: number;
  readonly text: string;
  readonly encoding: Encoding;
  readonly headTokens: number;
  readonly tailTokens: number;
}

/** The ends; without a cut they meet. */
export interface CutReply {
  readonly id: number;
  readonly cut: Cut | undefined;
}
