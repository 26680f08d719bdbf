import {
  type DescField,
  type DescMessage,
  type JsonValue,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { ListValue, Struct, Value } from "@bufbuild/protobuf/wkt";

type Fields = Readonly<Record<string, unknown>>;

/**
 * The binary form of a message, the same for all messages that say the same.
 *
 * Entries of maps, Structs and Values come in the order of their keys. Protobuf promises no order
 * for them, and some runtimes shuffle them on purpose, so a retry may send another one.
 */
export function canonicalBytes<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Uint8Array {
  return toBinary(schema, inOrder(schema, message as unknown as Fields) as MessageShape<Desc>);
}

/** The message with its maps in order: itself, or a copy when there are any. */
function inOrder(schema: DescMessage, message: Fields): Fields {
  const changes: [string, unknown][] = [];
  for (const field of mappedFields(schema)) {
    const { localName, oneof } = field;
    if (oneof === undefined) {
      const value = message[localName];
      if (value !== undefined) changes.push([localName, fieldInOrder(field, value)]);
      continue;
    }
    const chosen = message[oneof.localName] as { case?: string; value?: unknown };
    if (chosen.case !== localName) continue;
    const value = fieldInOrder(field, chosen.value);
    changes.push([oneof.localName, { case: localName, value }]);
  }
  return changes.length === 0 ? message : { ...message, ...Object.fromEntries(changes) };
}

function fieldInOrder(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case "map":
      return sorted(value as Fields, (entry) => entry);
    case "list":
      return field.listKind === "message"
        ? (value as readonly unknown[]).map((item) => messageInOrder(field.message, item))
        : value;
    case "message":
      return messageInOrder(field.message, value);
    default:
      return value;
  }
}

function messageInOrder(schema: DescMessage, value: unknown): unknown {
  switch (schema.typeName) {
    case "google.protobuf.Struct":
      // In fields of this type the generated types hold plain objects.
      return jsonInOrder(value as JsonValue);
    case "google.protobuf.Value":
      return valueInOrder(value as Value);
    default:
      return inOrder(schema, value as Fields);
  }
}

function jsonInOrder(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  return Array.isArray(value) ? value.map(jsonInOrder) : sorted(value, jsonInOrder);
}

function valueInOrder(value: Value): Value {
  switch (value.kind.case) {
    case "structValue": {
      const struct = value.kind.value;
      const ordered: Struct = { ...struct, fields: sorted(struct.fields, valueInOrder) };
      return { ...value, kind: { case: "structValue", value: ordered } };
    }
    case "listValue": {
      const list = value.kind.value;
      const ordered: ListValue = { ...list, values: list.values.map(valueInOrder) };
      return { ...value, kind: { case: "listValue", value: ordered } };
    }
    default:
      return value;
  }
}

function sorted<T>(entries: Readonly<Record<string, T>>, inside: (value: T) => T) {
  const keys = Object.keys(entries).sort();
  // Not by assignment: "__proto__" is a key like any other.
  return Object.fromEntries(keys.map((key) => [key, inside(entries[key] as T)]));
}

/** Fields that hold maps, themselves or somewhere inside, by message type. */
const mapped = new Map<string, readonly DescField[]>();

function mappedFields(schema: DescMessage): readonly DescField[] {
  let fields = mapped.get(schema.typeName);
  if (fields === undefined) {
    fields = schema.fields.filter((field) => holdsMap(field, new Set()));
    mapped.set(schema.typeName, fields);
  }
  return fields;
}

function holdsMap(field: DescField, seen: Set<string>): boolean {
  if (field.fieldKind === "map") return true;
  const { message } = field;
  if (message === undefined || seen.has(message.typeName)) return false;
  seen.add(message.typeName);
  return message.fields.some((inner) => holdsMap(inner, seen));
}
