import type { Cut } from "./jobs.ts";

/*
 * Tenths of a token for each UTF-16 unit. Tokenizers have long tokens for words, so half a token a
 * letter is plenty for prose; capitals, digits and punctuation are what ids, hashes, base64 and
 * numbers are made of, of which a token holds hardly more than one. Characters beyond ASCII are 0.7
 * a byte of their UTF-8, as scripts cost that an encoding has few tokens for.
 */
const tenths = Uint8Array.from({ length: 0x10000 }, (_, unit) => {
  if (unit >= 0xd800 && unit <= 0xdfff) return 14;
  if (unit >= 0x800) return 21;
  if (unit >= 0x80) return 14;
  const character = String.fromCharCode(unit);
  if (/[a-z\s]/.test(character)) return 5;
  return /[0-9]/.test(character) ? 7 : 10;
});

/**
 * Estimates the tokens of a text without a tokenizer.
 *
 * Made to be hardly ever below the truth, in any encoding: in base64 and ids it is about the truth,
 * in JSON and code one and a half to two and a half times of it, in prose nearly three times. `npm
 * run bench -- tokens` prints the errors.
 */
export function estimateTokens(text: string): number {
  let sum = 0;
  for (let index = 0; index < text.length; index++) sum += tenths[text.charCodeAt(index)] ?? 10;
  return Math.ceil(sum / 10);
}

/** Cuts a text without a tokenizer, as if each UTF-16 unit were a token; undefined when it fits. */
export function estimateCut(
  text: string,
  { headTokens, tailTokens }: { readonly headTokens: number; readonly tailTokens: number },
): Cut | undefined {
  if (headTokens + tailTokens >= text.length) return undefined;
  const splits = (index: number) => (text.codePointAt(index - 1) ?? 0) > 0xffff;
  const headLength = headTokens - (splits(headTokens) ? 1 : 0);
  const tailLength = tailTokens - (splits(text.length - tailTokens) ? 1 : 0);
  return { headLength, tailLength, keptTokens: headTokens + tailTokens };
}
