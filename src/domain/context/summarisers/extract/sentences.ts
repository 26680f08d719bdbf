/** Lengths in UTF-16 units. */
const longest = 240;
const clauseFrom = 160;
const shortestClause = 30;

/** Words that end with a dot and end no sentence. */
const abbreviations = new Set(
  "mr mrs ms dr prof st no vs etc e.g i.e inc ltd jr sr approx fig vol dept est".split(" "),
);

/**
 * Cuts a text into sentences, in order, without the white space around and inside them.
 *
 * Lines end sentences, as do `.`, `!` and `?` before white space, and those of Chinese anywhere.
 * Sentences over 160 units are cut at commas, semicolons and dashes, any piece over 240 units at
 * spaces. Takes time linear in the text.
 */
export function sentencesOf(text: string): string[] {
  return text
    .split(/[\n\r]+/)
    .flatMap(splitLine)
    .flatMap((sentence) => splitLong(tidy(sentence)))
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
}

function splitLine(line: string): string[] {
  const sentences: string[] = [];
  let start = 0;
  for (const match of line.matchAll(/[.!?]+["')\]]*(?=\s)|[。！？]+/g)) {
    const end = match.index + match[0].length;
    if (match[0] === "." && isAbbreviation(line, match.index)) continue;
    sentences.push(line.slice(start, end));
    start = end;
  }
  sentences.push(line.slice(start));
  return sentences;
}

/** The dot at `index` follows an abbreviation, an initial, or the number of a list. */
function isAbbreviation(line: string, index: number): boolean {
  const before = /[\p{L}\p{N}.]{1,8}$/u.exec(line.slice(Math.max(0, index - 8), index))?.[0] ?? "";
  return /^(\p{Lu}|\d{1,2})$/u.test(before) || abbreviations.has(before.toLowerCase());
}

/** One line, without marks of lists and headings, and without what separates fragments. */
function tidy(sentence: string): string {
  return sentence
    .replace(/\s+/g, " ")
    .replaceAll("**", "")
    .replace(/^ ?(?:[-*•·#>]+ |\d{1,2}[.)] )+/, "")
    .replace(/(?: ?· ?)+/g, ", ")
    .trim();
}

function splitLong(sentence: string): string[] {
  if (sentence.length <= clauseFrom) return [sentence];
  const pieces: string[] = [];
  let piece = "";
  for (const clause of sentence.split(/(?<=[,;:，；：]|\s[-–—])\s?(?=\S)/)) {
    if (
      piece !== "" &&
      piece.length + clause.length > clauseFrom &&
      piece.length >= shortestClause
    ) {
      pieces.push(piece);
      piece = "";
    }
    piece = piece === "" ? clause : `${piece} ${clause}`;
  }
  return [...pieces, piece].flatMap(splitAtSpaces);
}

function splitAtSpaces(text: string): string[] {
  const pieces: string[] = [];
  let rest = text;
  while (rest.length > longest) {
    const space = rest.lastIndexOf(" ", longest);
    // Never through a pair of surrogates.
    const isPair = rest.charCodeAt(longest - 1) >> 10 === 0x36;
    const end = space > longest / 2 ? space : longest - (isPair ? 1 : 0);
    pieces.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...pieces, rest];
}
