import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ListValue, Struct, Value } from "@bufbuild/protobuf/wkt";
import { limits } from "../../limits.ts";
import { halfPair, type Report, tooDeep, tooLarge } from "./values.ts";

/*
 * Structs and Values: bounded depth, finite numbers, well-formed texts, bounded size in binary
 * form. One walk finds out all of it. It never goes deeper than the limit, so it may recurse.
 */

/** Why a structure cannot be kept; ends the walk. */
class Unfit extends Error {}

/** Checks the content of a field of type google.protobuf.Struct, which is a plain object. */
export function checkStruct(
  struct: JsonObject,
  maxBytes: number | undefined,
  path: string,
  report: Report,
): void {
  check(() => objectBytes(struct, 1), maxBytes, path, report);
}

/** Checks a google.protobuf.Value, which is a message and counts as a level itself. */
export function checkValue(
  value: Value,
  maxBytes: number | undefined,
  path: string,
  report: Report,
): void {
  check(() => messageBytes(value, 2), maxBytes, path, report);
}

/** Size of a valid Struct in its binary form. */
export function structSize(struct: JsonObject): number {
  return objectBytes(struct, 1);
}

function check(
  measure: () => number,
  maxBytes: number | undefined,
  path: string,
  report: Report,
): void {
  try {
    const bytes = measure();
    if (maxBytes !== undefined && bytes > maxBytes) report(path, tooLarge(bytes, maxBytes));
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    report(path, error.message);
  }
}

// Sizes in binary form. `level` is that of an object or a list that stands here.

function objectBytes(object: JsonObject, level: number): number {
  assertLevel(level);
  return Object.entries(object).reduce(
    (sum, [key, value]) => sum + nested(textBytes(key) + nested(jsonBytes(value, level + 1))),
    0,
  );
}

function jsonBytes(value: JsonValue, level: number): number {
  if (typeof value === "string") return textBytes(value);
  if (typeof value === "number") return numberBytes(value);
  if (typeof value !== "object" || value === null) return FLAG_BYTES;
  if (!Array.isArray(value)) return nested(objectBytes(value, level));
  assertLevel(level);
  return nested(value.reduce<number>((sum, item) => sum + nested(jsonBytes(item, level + 1)), 0));
}

// Inside a Value the generated types have messages all the way down.

function messageBytes({ kind, $unknown }: Value, level: number): number {
  assertKnown($unknown);
  switch (kind.case) {
    case undefined:
      throw new Unfit("has a value of no kind; use null for null");
    case "nullValue":
    case "boolValue":
      return FLAG_BYTES;
    case "numberValue":
      return numberBytes(kind.value);
    case "stringValue":
      return textBytes(kind.value);
    case "structValue":
      return nested(structBytes(kind.value, level));
    case "listValue":
      return nested(listBytes(kind.value, level));
  }
}

function structBytes({ fields, $unknown }: Struct, level: number): number {
  assertLevel(level);
  assertKnown($unknown);
  return Object.entries(fields).reduce(
    (sum, [key, value]) => sum + nested(textBytes(key) + nested(messageBytes(value, level + 1))),
    0,
  );
}

function listBytes({ values, $unknown }: ListValue, level: number): number {
  assertLevel(level);
  assertKnown($unknown);
  return values.reduce((sum, value) => sum + nested(messageBytes(value, level + 1)), 0);
}

/** A null or a bool: one byte of tag, one of content. */
const FLAG_BYTES = 2;

function numberBytes(value: number): number {
  if (!Number.isFinite(value)) throw new Unfit("has a number that is not finite");
  return 9;
}

function textBytes(text: string): number {
  if (!text.isWellFormed()) throw new Unfit(halfPair);
  return nested(Buffer.byteLength(text));
}

/** With tag and length in front. */
function nested(bytes: number): number {
  let length = 1;
  for (let rest = bytes >>> 7; rest > 0; rest >>>= 7) length++;
  return 1 + length + bytes;
}

function assertLevel(level: number): void {
  if (level > limits.structDepth) throw new Unfit(tooDeep());
}

function assertKnown(unknown: Value["$unknown"]): void {
  if (unknown !== undefined && unknown.length > 0) {
    throw new Unfit("has a value of a kind that this server does not know");
  }
}
