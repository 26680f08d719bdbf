/** Made when a text needs it: its data takes the system library some milliseconds to load. */
let segmenter: Intl.Segmenter | undefined;
const wide =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|[\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]|\ufe0f/u;

/**
 * Columns a text without control characters takes on a terminal: two for wide characters such as
 * 日 and emoji, one for others. An approximation, good for lining up and cutting.
 */
export function widthOf(text: string): number {
  // Most text is ASCII; segmenting is for the rest.
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmentsOf(text)) width += wide.test(segment) ? 2 : 1;
  return width;
}

/** Cuts a text to so many columns; what was cut ends with `…`. */
export function cut(text: string, columns: number): string {
  // No character is shorter than a UTF-16 unit a column, so a long text is not measured whole.
  if (text.length <= columns && widthOf(text) <= columns) return text;
  let width = 0;
  let kept = "";
  for (const { segment } of segmentsOf(text)) {
    width += wide.test(segment) ? 2 : 1;
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** Fills a text with spaces, or cuts it, to exactly so many columns. */
export function padded(text: string, columns: number): string {
  const shown = cut(text, columns);
  return shown + " ".repeat(Math.max(0, columns - widthOf(shown)));
}

function segmentsOf(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter();
  return segmenter.segment(text);
}
