import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@sessiond/contract";
import { contentFields, type Verdict } from "./content-fields.ts";
import { memberOf, setMember } from "./members.ts";

const verdicts: Readonly<Record<string, Readonly<Record<string, Verdict>>>> = contentFields;

/** The fields of a message that may leave. */
const leaving = new Map<DescMessage, readonly DescField[]>();

/** An event without what anybody said in it. Fields that are not listed are left out. */
export function withoutContent(event: Event): Event {
  return copy(EventSchema, event) as Event;
}

function copy(desc: DescMessage, message: object): Message {
  const result = create(desc);
  for (const field of fieldsOf(desc)) {
    const value = memberOf(message, field);
    if (value === undefined) continue;
    const { message: inner } = field;
    const own = (one: unknown) => (inner === undefined ? one : copy(inner, one as object));
    setMember(result, field, Array.isArray(value) ? value.map(own) : own(value));
  }
  return result;
}

function fieldsOf(desc: DescMessage): readonly DescField[] {
  let fields = leaving.get(desc);
  if (fields === undefined) {
    const { [desc.typeName]: table = {} } = verdicts;
    fields = desc.fields.filter(({ localName }) => table[localName] === "leaves");
    leaving.set(desc, fields);
  }
  return fields;
}
