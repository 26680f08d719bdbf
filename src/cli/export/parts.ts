import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Part } from "@sessiond/contract";

/** A content of texts and other parts: a bare text where there is nothing else. */
export function contentOf(
  text: string,
  parts: readonly Part[],
  toText: (text: string) => JsonObject,
  toPart: (part: Part) => JsonObject | undefined,
): JsonValue {
  const others = parts.flatMap((part) => {
    if (part.content.case === "text") return [toText(part.content.value)];
    const converted = toPart(part);
    return converted === undefined ? [] : [converted];
  });
  if (others.length === 0) return text;
  return text === "" ? others : [toText(text), ...others];
}

/** The arguments of a call as a value: what is no JSON is kept as a text under `input`. */
export function argumentsOf(text: string): JsonValue {
  try {
    return JSON.parse(text === "" ? "{}" : text) as JsonValue;
  } catch {
    return { input: text };
  }
}
