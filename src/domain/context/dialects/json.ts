import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Event } from "@sessiond/contract";

/**
 * Levels that JSON of callers may have inside a request. Protobuf runtimes read 100 messages deep,
 * a level takes three, and what stands around it in a response about 20.
 */
const maxLevels = 24;

/**
 * The arguments of a call as an object; nothing at all is an empty one. Other JSON, text that is no
 * JSON and what cannot be put into a response stand in its member `arguments`. Integers beyond what a
 * double holds become texts, so that no digit is lost.
 */
export function argumentsObject(text: string): JsonObject {
  if (text.trim() === "") return {};
  const value = structureOf(text);
  return isObject(value) ? value : { arguments: value === undefined ? text : value };
}

/**
 * The arguments of a call as JSON text of an object: byte for byte if they are one. Nothing at all is
 * an empty one; other JSON, and text that is no JSON, stand in its member `arguments`.
 */
export function argumentsText(text: string): string {
  if (text.trim() === "") return "{}";
  const value = parsed(text);
  if (isObject(value)) return text;
  return `{"arguments":${value === undefined ? JSON.stringify(text) : text}}`;
}

/** A provider's own form of an event, if it has one of that format and it is an object. */
export function rawOf({ raw }: Event, format: string): JsonObject | undefined {
  const value = raw?.format === format ? structureOf(raw.json) : undefined;
  return isObject(value) ? value : undefined;
}

/** A member, if there is one. */
export function at(object: JsonObject | undefined, name: string): JsonValue | undefined {
  return object?.[name];
}

/** A member, if it is a text with something in it. */
export function textAt(object: JsonObject | undefined, name: string): string | undefined {
  const value = at(object, name);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The value of a JSON text; undefined if it is none, or cannot be put into a response. */
function structureOf(text: string): JsonValue | undefined {
  const value = parsed(text, /\d{16}/.test(text) ? keepDigits : undefined);
  return value !== undefined && fits(value, maxLevels) ? value : undefined;
}

function parsed(text: string, reviver?: typeof keepDigits): JsonValue | undefined {
  try {
    return JSON.parse(text, reviver) as JsonValue;
  } catch {
    return undefined;
  }
}

function keepDigits(_: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? "";
  return /^-?\d+$/.test(source) ? source : value;
}

/** Protobuf keeps finite numbers and texts without halves of pairs. */
function fits(value: JsonValue, levels: number): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0) return false;
  return Object.entries(value).every(
    ([key, member]) => key.isWellFormed() && fits(member, levels - 1),
  );
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
