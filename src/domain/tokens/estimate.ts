/**
 * Estimates the tokens of a text without a tokenizer: half of its UTF-8 bytes, rounded up.
 *
 * Real texts stay below that in every encoding (English has 4 to 5 bytes a token, code about 3,
 * Chinese 3 and fewer); only strings of rare symbols exceed it, up to one token a byte.
 */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 2);
}
