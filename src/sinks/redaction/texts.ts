import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@sessiond/contract";
import { memberOf, setMember } from "./members.ts";
import type { Text } from "./patterns.ts";

/** A text of an event, and how to put another in its place. */
export interface Place extends Text {
  replace(text: string): void;
}

/** What joins an event with a trace is no text of anybody's. */
const technical: ReadonlySet<string> = new Set([
  "sessiond.v1.TraceContext",
  "sessiond.v1.TokenCount",
  "google.protobuf.Timestamp",
  "google.protobuf.Duration",
]);

/** Every text of an event that is set; replacing one changes the event. */
export function textsOf(event: Event): Place[] {
  const places: Place[] = [];
  collect(EventSchema, event, places);
  return places;
}

function collect(desc: DescMessage, message: object, places: Place[]): void {
  for (const field of desc.fields) {
    const value = memberOf(message, field);
    if (value === undefined || technical.has(field.message?.typeName ?? "")) continue;
    if (Array.isArray(value)) {
      for (const [index, member] of value.entries()) {
        const replace = (next: unknown) => {
          value[index] = next;
        };
        collectValue(field, { value: member, replace }, places);
      }
    } else {
      const replace = (next: unknown) => setMember(message, field, next);
      collectValue(field, { value, replace }, places);
    }
  }
}

function collectValue(
  { message: desc, scalar }: DescField,
  { value, replace }: { value: unknown; replace: (next: unknown) => void },
  places: Place[],
): void {
  if (desc === undefined) {
    if (scalar !== ScalarType.STRING || value === "") return;
    places.push({ text: value as string, isJson: false, replace });
  } else if (desc.typeName === "google.protobuf.Struct") {
    places.push({
      text: JSON.stringify(value),
      isJson: true,
      replace: (text) => replace(JSON.parse(text) as JsonObject),
    });
  } else if (desc.typeName === "google.protobuf.Value") {
    // In a list, so that a lone text is looked at in the same way.
    places.push({
      text: JSON.stringify([toJson(ValueSchema, value as never)]),
      isJson: true,
      replace: (text) => replace(fromJson(ValueSchema, JSON.parse(text)[0])),
    });
  } else collect(desc, value as object, places);
}
