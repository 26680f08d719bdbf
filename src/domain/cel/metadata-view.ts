import type { CelInput } from "@bufbuild/cel";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { limits } from "../../limits.ts";

/**
 * Metadata as maps and lists; undefined when it holds more than 4,096 values, which no expression
 * gets to see. It is made at the first look, and once.
 *
 * Converted as a whole, because the library would convert a plain object anew at every access.
 */
export function metadataView(metadata: JsonObject | undefined): () => CelInput | undefined {
  let made: { readonly view: CelInput | undefined } | undefined;
  return () => {
    made ??= { view: convertAll(metadata ?? {}) };
    return made.view;
  };
}

function convertAll(metadata: JsonObject): CelInput | undefined {
  let left = limits.ruleMetadataValues;
  const convert = (value: JsonValue): CelInput => {
    left -= 1;
    if (value === null || typeof value !== "object" || left < 0) return left < 0 ? null : value;
    if (Array.isArray(value)) return value.map(convert);
    return new Map(Object.entries(value).map(([key, member]) => [key, convert(member)]));
  };
  const view = convert(metadata);
  return left < 0 ? undefined : view;
}
