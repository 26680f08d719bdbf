/** A part of a text, from `start` up to but not including `end`. */
export interface Slice {
  readonly start: number;
  readonly end: number;
}

/*
 * Finds where values stand in a JSON text, so that they can be kept byte for byte: parsing and
 * writing again would change spaces, numbers and escapes. The text must have been parsed before;
 * only valid JSON is read right.
 */

/** Slices of the elements of the array that begins at `start`. */
export function elementSlices(text: string, start: number): Slice[] {
  const slices: Slice[] = [];
  let at = skipSpace(text, start + 1);
  while (text[at] !== "]") {
    const slice = { start: at, end: endOfValue(text, at) };
    slices.push(slice);
    at = skipComma(text, slice.end);
  }
  return slices;
}

/** Slices of the values of the object that begins at `start`; of a repeated key the last one. */
export function memberSlices(text: string, start: number): Map<string, Slice> {
  const slices = new Map<string, Slice>();
  let at = skipSpace(text, start + 1);
  while (text[at] !== "}") {
    const keyEnd = endOfValue(text, at);
    const key = JSON.parse(text.slice(at, keyEnd)) as string;
    const colon = skipSpace(text, keyEnd);
    const value = skipSpace(text, colon + 1);
    const slice = { start: value, end: endOfValue(text, value) };
    slices.set(key, slice);
    at = skipComma(text, slice.end);
  }
  return slices;
}

/** Where the first character of the value in a text is. */
export function skipSpace(text: string, start: number): number {
  let at = start;
  while (text[at] === " " || text[at] === "\n" || text[at] === "\r" || text[at] === "\t") at += 1;
  return at;
}

function skipComma(text: string, start: number): number {
  const at = skipSpace(text, start);
  return text[at] === "," ? skipSpace(text, at + 1) : at;
}

function endOfValue(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return endOfString(text, start);
  if (first !== "{" && first !== "[") {
    let at = start;
    while (at < text.length && !/[\s,\]}]/.test(text[at] ?? "")) at += 1;
    return at;
  }
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at) - 1;
    else if (character === "{" || character === "[") depth += 1;
    else if (character === "}" || character === "]") depth -= 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}
