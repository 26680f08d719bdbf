import type { JsonValue } from "@bufbuild/protobuf";

/** Levels that are looked at; what is deeper is no JSON for us, because walks through it recurse. */
const maxDepth = 100;

/** A text as JSON, when it is an object or a list of bounded depth; undefined otherwise. */
export function parsedJson(text: string): JsonValue | undefined {
  if (!looksLikeJson(text)) return undefined;
  try {
    const json = JSON.parse(text) as JsonValue;
    return isWithin(json, maxDepth) ? json : undefined;
  } catch {
    return undefined;
  }
}

/** It begins as an object or a list does. */
export function looksLikeJson(text: string): boolean {
  return /^\s*[[{]/.test(text);
}

function isWithin(json: JsonValue, depth: number): boolean {
  if (typeof json !== "object" || json === null) return true;
  return depth > 0 && Object.values(json).every((member) => isWithin(member, depth - 1));
}
