/*
 * What tokenizers see in a text: their first stage, a regular expression, cuts it into pieces by
 * classes of characters, and no token crosses from one piece into the next.
 *
 * All encodings have such an expression; the two families are
 *
 *   gpt2, r50k, p50k   's|'t|… | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
 *   cl100k, o200k      the same idea, but a letter run may begin with one character that is no
 *                      letter, digit or line break; digits go by threes; punctuation takes the line
 *                      breaks behind it along; o200k counts marks as letters, lets 's, 't … end a
 *                      letter run, and splits letter runs further by case.
 */

/** Class of one UTF-16 unit. */
export const CharClass = {
  other: 0,
  letter: 1,
  digit: 2,
  mark: 3,
  apostrophe: 4,
  lineBreak: 5,
  space: 6,
  /**
   * Half of a character beyond U+FFFF, which may be a letter, a digit, a mark or other; or a character that
   * tokenizers may not know yet.
   */
  surrogate: 7,
} as const;

type CharClass = (typeof CharClass)[keyof typeof CharClass];

const { other, letter, digit, mark, apostrophe, lineBreak, space, surrogate } = CharClass;

/**
 * Letters and marks of Unicode 16 and 17, first and last, which are none to tokenizers that were built
 * before: what they are is as unknown as of half a character.
 */
const recent = [
  [0x088f, 0x088f],
  [0x0897, 0x0897],
  [0x0c5c, 0x0c5c],
  [0x0cdc, 0x0cdc],
  [0x1acf, 0x1add],
  [0x1ae0, 0x1aeb],
  [0x1c89, 0x1c8a],
  [0xa7cb, 0xa7cf],
  [0xa7d2, 0xa7d2],
  [0xa7d4, 0xa7d4],
  [0xa7da, 0xa7dc],
  [0xa7f1, 0xa7f1],
] as const;

/** Class of each UTF-16 unit. */
const classes = Uint8Array.from({ length: 0x10000 }, (_, unit) => classify(unit));

/*
 * Places where each of the expressions above ends one piece and begins the next, and where the text
 * before the place is cut into the same pieces with and without the text behind it. (That second
 * condition is why nothing is cut behind white space: `\s+(?!\S)` looks at what follows.)
 *
 * - Behind a letter: inside a piece, a letter is only followed by letters, marks, or an apostrophe.
 * - Behind a digit: inside a piece, a digit is only followed by digits.
 * - Behind a mark or other: inside a piece, one is never followed by a digit, and by white space
 *   only if that is a line break.
 * - Behind a character beyond U+FFFF: what holds for all four classes it may belong to.
 */
const followers = {
  [letter]: [digit, other, lineBreak, space],
  [digit]: [letter, mark, other, apostrophe, lineBreak, space],
  [mark]: [digit, space],
  [other]: [digit, space],
  [apostrophe]: [digit, space],
  [surrogate]: [space],
  [lineBreak]: [],
  [space]: [],
} satisfies Record<CharClass, readonly CharClass[]>;

const boundaries = new Uint8Array(64);
for (const [left, rights] of Object.entries(followers)) {
  for (const right of rights) boundaries[Number(left) * 8 + right] = 1;
}

/** Class of the UTF-16 unit at an index. */
export function classAt(text: string, index: number): number {
  return classes[text.charCodeAt(index)] ?? other;
}

/**
 * True when a text may be cut between two units of these classes without changing its tokens, in
 * any encoding. False says nothing: pieces may end there too.
 */
export function isBoundary(left: number, right: number): boolean {
  return boundaries[left * 8 + right] === 1;
}

function classify(unit: number): CharClass {
  if (unit >= 0xd800 && unit <= 0xdfff) return surrogate;
  const character = String.fromCharCode(unit);
  if (character === "\n" || character === "\r") return lineBreak;
  if (character === "'") return apostrophe;
  if (recent.some(([first, last]) => unit >= first && unit <= last)) return surrogate;
  if (/\p{L}/u.test(character)) return letter;
  if (/\p{N}/u.test(character)) return digit;
  if (/\p{M}/u.test(character)) return mark;
  if (/\p{White_Space}/u.test(character)) return space;
  return other;
}
