import type { JsonValue } from "@bufbuild/protobuf";

/** Stands for a negative zero while the text is made; longer marks where a text has this one. */
const mark = "negative zero";

/** JSON on one line that gives back every number as it was: `JSON.stringify` makes 0 of -0. */
export function jsonText(value: JsonValue): string {
  const text = JSON.stringify(value);
  if (!hasNegativeZero(value)) return text;
  let name = mark;
  while (text.includes(name)) name += ".";
  const marked = JSON.stringify(value, (_key, item) => (Object.is(item, -0) ? name : item));
  return marked.replaceAll(`"${name}"`, "-0");
}

function hasNegativeZero(value: JsonValue): boolean {
  if (typeof value === "number") return Object.is(value, -0);
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some(hasNegativeZero);
}
