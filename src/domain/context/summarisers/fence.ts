/**
 * Puts a text between `<name>` and `</name>`, so that the text cannot forge either.
 *
 * In the text, a `<` that begins something like one of them, whatever its case, with white space,
 * invisible characters or the full-width forms of the signs, becomes `‹`. Nothing else changes.
 * `name` has letters and dashes only.
 */
export function fence(name: string, text: string): string {
  const forged = new RegExp(`[<＜﹤](?=[\\s\\p{Cf}]*[/／∕⁄]?[\\s\\p{Cf}]*${name})`, "giu");
  return `<${name}>\n${text.replace(forged, "‹")}\n</${name}>`;
}
