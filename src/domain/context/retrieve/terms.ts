import { stem } from "./stems.ts";
import { stopWords } from "./stop-words.ts";

/** Units of a letter run taken as one word; the rest of a longer run is the next word. */
const maxWord = 64;

/** Scripts written without spaces between words, or with spaces between phrases. */
const unspaced =
  "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Hangul}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
const letter = `[[\\p{L}\\p{N}\\p{M}]--[${unspaced}]]`;

/**
 * A run of an unspaced script, or words with the marks inside ids, paths, links, versions, numbers,
 * dates and addresses between them: `src/app.ts`, `order_id`, `2024-05-15`, `1,299.00`, `a@b.org`.
 */
const token = new RegExp(
  `[${unspaced}]{1,${maxWord}}|${letter}{1,${maxWord}}(?:['’_.,:\\/@#+\\&\\-]{1,3}${letter}{1,${maxWord}}){0,15}`,
  "gv",
);
const unspacedRun = new RegExp(`^[${unspaced}]`, "v");

/** Where a word in camel case, or of letters and digits, has its seams. */
const seam =
  /(?<=\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})|(?<=\p{L})(?=\p{N})|(?<=\p{N})(?=\p{L})/u;

/**
 * Terms of a text, in its order, by which it is found: stems of its words without stop words; ids,
 * numbers and paths whole and in parts; Chinese, Japanese, Korean and Thai by pairs of characters.
 *
 * Lazy, so that a long text can be taken in slices.
 */
export function* termsOf(text: string): Generator<string, void, undefined> {
  for (const [found] of text.matchAll(token)) {
    if (unspacedRun.test(found)) yield* pairs(found);
    else yield* words(found);
  }
}

function* pairs(run: string): Generator<string, void, undefined> {
  const characters = [...run];
  if (characters.length === 1) yield run;
  for (let i = 1; i < characters.length; i++) yield `${characters[i - 1]}${characters[i]}`;
}

function* words(found: string): Generator<string, void, undefined> {
  // "Anna's" is about Anna and "I'd" about me, but "don't" is one word.
  const joined = found.replace(/['’](?:s|d|ll|ve|re|m)$/i, "").replace(/['’]/g, "");
  const parts = joined.split(/[_.,:/@#+&-]+/);
  let count = 0;
  for (const part of parts) {
    const pieces = part.split(seam);
    count += pieces.length;
    for (const piece of pieces) {
      const word = plain(piece);
      // A mark may stand without a letter.
      if (word !== "" && !stopWords.has(word)) yield stem(word);
    }
    if (pieces.length > 1 && parts.length > 1) yield plain(part);
  }
  // Thousands separators say nothing, and people leave them out.
  if (count > 1) yield plain(joined).replace(/(?<=\d),(?=\d{3})/g, "");
}

/** Lower case without accents; a few ligatures are taken apart into words with spaces. */
function plain(word: string): string {
  if (/^[\x20-\x7e]*$/.test(word)) return word.toLowerCase();
  return word
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[\u0300-\u036f\s]/g, "");
}
