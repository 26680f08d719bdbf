import { type DescMessage, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { contentFields } from "../../../src/sinks/redaction/content-fields.ts";
import { withoutContent } from "../../../src/sinks/redaction/without-content.ts";
import { messageOf } from "../../support/arbitraries.ts";

const table: Readonly<Record<string, Readonly<Record<string, string>>>> = contentFields;

/** Messages that leave at least in part: those behind fields that do. */
function leavingMessages(desc: DescMessage, found = new Set<DescMessage>()): Set<DescMessage> {
  if (found.has(desc)) return found;
  found.add(desc);
  for (const field of desc.fields) {
    const leaves = table[desc.typeName]?.[field.localName] === "leaves";
    if (leaves && field.message !== undefined) leavingMessages(field.message, found);
  }
  return found;
}

test("of every field of the contract it was decided whether it is content", () => {
  const messages = [...leavingMessages(EventSchema)];
  expect(messages.length).toBeGreaterThan(30);
  expect(Object.fromEntries(messages.map((desc) => [desc.typeName, names(desc)]))).toEqual(
    Object.fromEntries(Object.entries(table).map(([name, fields]) => [name, sorted(fields)])),
  );
});

function names({ fields }: DescMessage): string[] {
  return fields.map(({ localName }) => localName).sort();
}

function sorted(fields: object): string[] {
  return Object.keys(fields).sort();
}

/** Whatever is free in form is content, and has no entry by which it could leave. */
test("values without a fixed form never leave", () => {
  const forms = [...leavingMessages(EventSchema)].map(({ typeName }) => typeName);
  expect(forms).not.toContain("google.protobuf.Struct");
  expect(forms).not.toContain("google.protobuf.Value");
});

/** A time that has a form in JSON; the server sets it. */
const hints = {
  "sessiond.v1.Event.create_time": fc.nat({ max: 4_000_000_000_000 }).map(timestampFromMs),
};

test("what leaves of any event is what the table says, and the event is as it was", () => {
  fc.assert(
    fc.property(messageOf(EventSchema, hints, { percent: 0 }), (event) => {
      const before = toJson(EventSchema, event as Event);
      const after = toJson(EventSchema, withoutContent(event as Event));
      expect(after).toEqual(allowed(EventSchema, before));
      expect(toJson(EventSchema, event as Event)).toEqual(before);
      // The same through the wire form of it, where nothing else could hide.
      expect(fromJson(EventSchema, after)).toEqual(withoutContent(event as Event));
    }),
    { numRuns: 300 },
  );
});

/** The same by another way: on the JSON of the contract. */
function allowed(desc: DescMessage, json: JsonValue): JsonValue {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return json;
  return Object.fromEntries(
    desc.fields.flatMap(({ jsonName, localName, message }) => {
      const value = json[jsonName];
      if (value === undefined || table[desc.typeName]?.[localName] !== "leaves") return [];
      if (message === undefined) return [[jsonName, value]];
      const inner = (one: JsonValue) => allowed(message, one);
      return [[jsonName, Array.isArray(value) ? value.map(inner) : inner(value)]];
    }),
  );
}
