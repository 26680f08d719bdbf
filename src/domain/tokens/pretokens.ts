import type { Encoding } from "./protocol.ts";

/*
 * The first stage of the tokenizers, for texts of which it is known beyond doubt: what `pat_str` of
 * tiktoken's encodings says, in classes of the few characters that are let in here. Their classes are
 * the same in every version of Unicode since 6.1. See `characters.ts` for the idea of the expressions.
 */

/** Texts up to this length, in UTF-16 units, are looked at here. */
const maxLength = 1_024;
/** Longer pretokens are rare and would fill a memory of them; tokenizers take long for them, too. */
const maxPretokenLength = 64;

/**
 * ASCII, Latin-1 without U+0085, which JavaScript and tiktoken do not both take for white space, and dashes,
 * quotation marks, bullet, ellipsis and the sign of the euro.
 */
const simple = /^[\0-\u0084\u0086-\u00ff\u2010-\u2027\u20ac]*$/;

const upper = "A-Z\u00c0-\u00d6\u00d8-\u00de";
const lower = "a-z\u00b5\u00df-\u00f6\u00f8-\u00ff";
/** Letters without a case. */
const caseless = "\u00aa\u00ba";
const letter = upper + lower + caseless;
const number = "0-9\u00b2\u00b3\u00b9\u00bc-\u00be";
const space = "\t-\r \u00a0";

const ending = "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])";
const before = `[^\\r\\n${letter}${number}]?`;
const other = ` ?[^${space}${letter}${number}]+`;
const spaces = [`[${space}]*[\\r\\n]+`, `[${space}]+(?![^${space}])`, `[${space}]+`];

const expressions: Partial<Record<Encoding, RegExp>> = {
  o200k_base: anyOf(
    `${before}[${upper}${caseless}]*[${lower}${caseless}]+(?:${ending})?`,
    `${before}[${upper}${caseless}]+[${lower}${caseless}]*(?:${ending})?`,
    `[${number}]{1,3}`,
    `${other}[\\r\\n/]*`,
    ...spaces,
  ),
  cl100k_base: anyOf(
    ending,
    `${before}[${letter}]+`,
    `[${number}]{1,3}`,
    `${other}[\\r\\n]*`,
    ...spaces,
  ),
};

function anyOf(...alternatives: readonly string[]): RegExp {
  return new RegExp(alternatives.join("|"), "g");
}

/**
 * The pieces that the tokenizer cuts a text into before anything else, in order; no token crosses from one
 * into the next. Undefined: this is not known here, because the text is long, has other characters than
 * most western texts, or has a very long piece, or the encoding is a rare one.
 */
export function pretokensOf(text: string, encoding: Encoding): readonly string[] | undefined {
  const expression = expressions[encoding];
  if (expression === undefined || text.length > maxLength || !simple.test(text)) return undefined;
  const pretokens = text.match(expression) ?? [];
  return pretokens.every(({ length }) => length <= maxPretokenLength) ? pretokens : undefined;
}

/**
 * How many tokens pretokens of one encoding have, as far as that was found out. When there are too many,
 * those go that were not asked for lately.
 */
export class PretokenCounts {
  readonly #limit: number;
  #young = new Map<string, number>();
  #old = new Map<string, number>();

  /** `limit`: how many are remembered at most. */
  constructor({ limit }: { limit: number }) {
    this.#limit = limit;
  }

  get(pretoken: string): number | undefined {
    const known = this.#young.get(pretoken);
    if (known !== undefined) return known;
    const old = this.#old.get(pretoken);
    if (old !== undefined) this.set(pretoken, old);
    return old;
  }

  set(pretoken: string, count: number): void {
    if (this.#young.has(pretoken)) return;
    if (this.#young.size >= this.#limit / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    // A copy: engines let a part of a text keep all of it.
    this.#young.set(Buffer.from(pretoken, "utf16le").toString("utf16le"), count);
  }
}
