import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { EventInput, SessionFields } from "@sessiond/client";

/** A provider's own form of one message or item, as it stands in a file. */
export interface Item {
  readonly value: JsonValue;
  /** The same as text, byte for byte. */
  readonly json: string;
  /** Line it begins on, from 1. */
  readonly line: number;
}

/** A form of conversations that can be imported. */
export interface Format {
  /** Names of the lists in a document that hold its items, in order. */
  readonly lists: readonly string[];
  /** Turns the items of one session into events. Errors: ItemError. */
  readonly toEvents: (items: readonly Item[]) => EventInput[];
  /** Fields of the session from the rest of its document. Default: none. */
  readonly toFields?: (document: JsonObject) => SessionFields;
  /** Name of the session from that of the file. Default: the same. */
  readonly newName?: (name: string, items: readonly Item[]) => string;
}

/** An item cannot be read; says on which line, and what it should be. */
export class ItemError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.name = "ItemError";
    this.line = line;
  }
}

/** The item as an object. Errors: ItemError. */
export function objectOf(item: Item): JsonObject {
  if (isObject(item.value)) return item.value;
  throw new ItemError(item.line, "a message must be a JSON object");
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value if it is a text, else empty. */
export function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** A member of an object, if it is there. */
export function at(object: JsonObject, name: string): JsonValue | undefined {
  return object[name];
}

/** The member if it is a text, else empty. */
export function textAt(object: JsonObject, name: string): string {
  return textOf(object[name]);
}

/** The value if it is a list of objects, else empty. */
export function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter((element) => isObject(element)) : [];
}

/** Text that stands for a value: itself if it is a text, else JSON; empty if absent or null. */
export function asText(value: JsonValue | undefined): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}

/**
 * Keeps an item with the events it became: the first of them carries it whole, so that the raw items
 * of a session in order are what was imported.
 */
export function withRaw(format: string, item: Item, events: EventInput[]): EventInput[] {
  const [first, ...rest] = events;
  if (first === undefined) return [];
  return [{ ...first, raw: { format, json: item.json } } as EventInput, ...rest];
}
