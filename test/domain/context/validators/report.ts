import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** A place in a request that a provider refuses, and the rule of its table that it breaks. */
export interface Violation {
  /** For example `messages[2].content[0].id`. */
  readonly path: string;
  readonly rule: string;
}

/** Rules by name, each in a sentence. */
export type Rules = Readonly<Record<string, string>>;

/** Rules about the shape of JSON, the same for every provider. */
export const shapeRules = {
  "wrong-type": "A field has the JSON type, or one of the words, that the provider documents.",
  "missing-field": "Every required field is there.",
  "unknown-field": "No field is there that the provider does not know.",
} as const satisfies Rules;

type ShapeRule = keyof typeof shapeRules;

/** What a field may hold; optional ones may be absent. */
export interface Field {
  readonly takes: (value: JsonValue) => boolean;
  readonly optional?: true;
}

/** Collects what is wrong with a request. */
export class Report<Rule extends string> {
  readonly violations: Violation[] = [];

  add(path: string, rule: Rule | ShapeRule): void {
    this.violations.push({ path, rule });
  }

  /** Adds a violation unless something holds. */
  check(holds: boolean, path: string, rule: Rule | ShapeRule): void {
    if (!holds) this.add(path, rule);
  }

  /** The value as an object with just these fields; undefined when it is none. */
  object(
    value: JsonValue,
    path: string,
    fields: Readonly<Record<string, Field>>,
  ): JsonObject | undefined {
    if (!isObject(value)) {
      this.add(path, "wrong-type");
      return undefined;
    }
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name)) this.add(`${path}.${name}`, "unknown-field");
    }
    for (const [name, { takes, optional }] of Object.entries(fields)) {
      const field = Object.hasOwn(value, name) ? value[name] : undefined;
      if (field === undefined) this.check(optional === true, `${path}.${name}`, "missing-field");
      else this.check(takes(field), `${path}.${name}`, "wrong-type");
    }
    return value;
  }

  /** The entries of a list with their paths; none when it is no list. */
  list(value: JsonValue | undefined, path: string): [value: JsonValue, path: string][] {
    if (Array.isArray(value)) return value.map((entry, index) => [entry, `${path}[${index}]`]);
    this.add(path, "wrong-type");
    return [];
  }
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A member of a value that may be no object at all. */
export function at(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

export function textAt(value: JsonValue | undefined, name: string): string {
  const text = at(value, name);
  return typeof text === "string" ? text : "";
}

export function listAt(value: JsonValue | undefined, name: string): readonly JsonValue[] {
  const list = at(value, name);
  return Array.isArray(list) ? list : [];
}

export const isText = (value: JsonValue) => typeof value === "string";
export const isFilled = (value: JsonValue) => typeof value === "string" && value !== "";
export const isBoolean = (value: JsonValue) => typeof value === "boolean";
export const isList = (value: JsonValue) => Array.isArray(value);
export const isTextOrList = (value: JsonValue) => isText(value) || isList(value);

export function oneOf(...words: readonly string[]): (value: JsonValue) => boolean {
  return (value) => typeof value === "string" && words.includes(value);
}

export function optional(takes: Field["takes"]): Field {
  return { takes, optional: true };
}

export function required(takes: Field["takes"]): Field {
  return { takes };
}

/** JSON text of an object. */
export function isObjectText(text: string): boolean {
  try {
    return isObject(JSON.parse(text) as JsonValue);
  } catch {
    return false;
  }
}

/** An address that a provider fetches, or the bytes themselves. */
export function isMediaAddress(text: string): boolean {
  return /^https?:\/\/[^\s/]+/.test(text) || /^data:[\w.+-]+\/[\w.+-]+;base64,/.test(text);
}

export function isBase64(text: string): boolean {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);
}

/** Characters as providers count them: code points. */
export function lengthOf(text: string): number {
  return Array.from(text).length;
}
