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

/** What the worker is sent: texts to count. The text at index i has the id `firstId` + i. */
export interface CountRequest {
  readonly firstId: number;
  readonly texts: readonly string[];
  /** For each text the index of its encoding in `encodings`. */
  readonly encodings: Uint8Array;
}

/** What comes back: counts that are ready, in any order. The three arrays have one length. */
export interface CountReply {
  readonly ids: Uint32Array;
  readonly counts: Uint32Array;
  /** 1 where a count was estimated. */
  readonly estimated: Uint8Array;
}
