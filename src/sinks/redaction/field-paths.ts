import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@sessiond/contract";
import { looksLikeJson, parsedJson } from "./json-text.ts";
import { type Members, memberOf, setMember } from "./members.ts";
import { redacted } from "./redacted.ts";

/** Takes one field out of an event, which it changes. */
export type TakeOut = (event: Event) => void;

/** A path that leads to no field; the message follows its place in the configuration. */
export class FieldPathError extends Error {}

/**
 * Compiles a path such as `metadata.ssn` or `toolCall.arguments.password`: names of fields of the contract,
 * as in proto or in JSON, and then keys of what has no fixed form: metadata, values, JSON in a text. It goes
 * through every element of a list.
 *
 * A text and a value without a fixed form become `[redacted]`; a field that can hold no text becomes unset,
 * a payload empty.
 *
 * Errors: FieldPathError.
 */
export function compileFieldPath(path: string): TakeOut {
  const names = path.split(".");
  if (names.some((name) => name === "")) throw new FieldPathError("has an empty name");
  return compile(EventSchema, names, []) as TakeOut;
}

type Step = (message: object) => void;

function compile(
  desc: DescMessage,
  [name = "", ...rest]: readonly string[],
  before: readonly string[],
): Step {
  const field = desc.fields.find((one) => one.name === name || one.jsonName === name);
  if (field === undefined) {
    const where = before.length === 0 ? "an event" : before.join(".");
    throw new FieldPathError(`${where} has no field "${name}"; it has ${namesOf(desc)}`);
  }
  const step = compileValue(field, rest, [...before, name]);
  return (message) => {
    const value = memberOf(message, field);
    if (value === undefined) return;
    if (!Array.isArray(value)) setMember(message, field, step(value));
    else if (rest.length === 0 && !isText(field)) setMember(message, field, []);
    else setMember(message, field, value.map(step));
  };
}

/** What becomes of a value of the field. */
function compileValue(
  field: DescField,
  rest: readonly string[],
  path: readonly string[],
): (value: unknown) => unknown {
  const { message: desc } = field;
  if (desc?.typeName === "google.protobuf.Struct") {
    if (rest.length === 0) return () => undefined;
    return (value) => withoutKey(value as JsonValue, rest);
  }
  if (desc?.typeName === "google.protobuf.Value") {
    return (value) => {
      const json = toJson(ValueSchema, value as never);
      return fromJson(ValueSchema, rest.length === 0 ? redacted : withoutKey(json, rest));
    };
  }
  if (desc !== undefined) {
    if (rest.length === 0) return () => (field.oneof === undefined ? undefined : create(desc));
    const step = compile(desc, rest, path);
    return (value) => {
      step(value as object);
      return value;
    };
  }
  if (isText(field)) {
    return (value) => (rest.length === 0 ? redacted : withoutKeyOfText(String(value), rest));
  }
  if (rest.length > 0) throw new FieldPathError(`nothing is inside of ${path.join(".")}`);
  const empty = create(field.parent) as unknown as Members;
  return () => empty[field.localName];
}

/** JSON without the value under a path of keys. A text in it may be JSON, too. */
function withoutKey(json: JsonValue, path: readonly string[]): JsonValue {
  const [key = "", ...rest] = path;
  if (typeof json === "string") return withoutKeyOfText(json, path);
  if (Array.isArray(json)) return json.map((one) => withoutKey(one, path));
  if (typeof json !== "object" || json === null || !Object.hasOwn(json, key)) return json;
  const value = json[key] ?? null;
  return Object.fromEntries(
    Object.entries(json).map(([name, other]) => {
      if (name !== key) return [name, other];
      return [name, rest.length === 0 ? redacted : withoutKey(value, rest)];
    }),
  );
}

/** The same for a path that begins anywhere in the JSON. */
export function withoutKeyAnywhere(json: JsonValue, path: readonly string[]): JsonValue {
  if (typeof json === "string") return withoutKeyOfText(json, path, withoutKeyAnywhere);
  if (Array.isArray(json)) return json.map((one) => withoutKeyAnywhere(one, path));
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(
    Object.entries(withoutKey(json, path) as JsonObject).map(([name, value]) => [
      name,
      withoutKeyAnywhere(value, path),
    ]),
  );
}

/** A text that is no JSON has no keys to look for. What is malformed JSON could hide them. */
function withoutKeyOfText(text: string, path: readonly string[], without = withoutKey): string {
  const json = parsedJson(text);
  if (json === undefined) return looksLikeJson(text) ? redacted : text;
  const before = JSON.stringify(json);
  const after = JSON.stringify(without(json, path));
  return before === after ? text : after;
}

function isText({ scalar }: DescField): boolean {
  return scalar === ScalarType.STRING;
}

function namesOf({ fields }: DescMessage): string {
  return fields.map(({ jsonName }) => jsonName).join(", ");
}
