import { type DescField, type DescMessage, fromJson, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, StepType } from "@sessiond/contract";
import { contentFields, type Verdict } from "./content-fields.ts";
import { compileFieldPath, type TakeOut, withoutKeyAnywhere } from "./field-paths.ts";
import { redacted } from "./redacted.ts";

type Side = "input" | "output";

/** Where steps repeat a field: on this side of those of these types. */
const inSteps: Readonly<Record<string, { side: Side; types: readonly StepType[] }>> = {
  "thinking.text": { side: "output", types: [StepType.THINKING] },
  "toolCall.arguments": { side: "input", types: [StepType.TOOL_CALL] },
  "toolResult.content": { side: "output", types: [StepType.TOOL_CALL, StepType.TOOL_RESULT] },
  "toolResult.parts": { side: "output", types: [StepType.TOOL_CALL, StepType.TOOL_RESULT] },
  "output.text": { side: "output", types: [StepType.OUTPUT] },
  "output.value": { side: "output", types: [StepType.OUTPUT] },
  "error.message": { side: "output", types: [StepType.ERROR] },
};

/** Fields that others repeat in the same form. */
const sameForm = [
  ["toolCall.arguments", "amendment.arguments"],
  ["output.text", "output.value"],
  ["output.value", "output.text"],
] as const;

const verdicts: Readonly<Record<string, Readonly<Record<string, Verdict>>>> = contentFields;

/**
 * Takes out what events repeat of a field that is taken out by a path:
 *
 * - raw items, whose form nobody here knows, as a whole, unless the path is of them;
 * - summaries, which quote what was said, as a whole, if the path leads to such a thing;
 * - arguments of a tool call in amendments, and an output in its other form;
 * - in inputs and outputs of steps the same keys, wherever they stand in it; a field that is taken out as a
 *   whole takes the side with it that repeats it.
 *
 * Errors: FieldPathError.
 */
export function compileCopies(path: string): TakeOut[] {
  const { fields, keys } = resolved(path);
  const place = fields.map(({ localName }) => localName).join(".");
  const also: string[] = [];
  if (fields[0]?.localName !== "raw") also.push("raw.json");
  if (isSaid(fields)) also.push("compaction.summary", "compactionDue.previousSummary");
  for (const [repeated, copy] of sameForm) {
    if (overlap(place, repeated)) also.push([copy, ...keys].join("."));
  }
  const steps = Object.entries(inSteps)
    .filter(([repeated]) => overlap(place, repeated))
    .map(([, where]) => takeOutOfSteps(where, keys));
  return [...also.map(compileFieldPath), ...steps];
}

/** The fields of the contract that a path goes through, and the keys behind them. */
function resolved(path: string): {
  readonly fields: readonly DescField[];
  readonly keys: readonly string[];
} {
  const names = path.split(".");
  const fields: DescField[] = [];
  let desc: DescMessage | undefined = EventSchema;
  for (const name of names) {
    const field: DescField | undefined = desc?.fields.find(
      (one) => one.name === name || one.jsonName === name,
    );
    if (field === undefined || desc?.file.proto.package === "google.protobuf") break;
    fields.push(field);
    desc = field.message;
  }
  return { fields, keys: names.slice(fields.length) };
}

/** It is, or has in it, what somebody said in a payload. */
function isSaid(fields: readonly DescField[]): boolean {
  const [payload] = fields;
  if (payload?.oneof === undefined) return false;
  const stays = ({ parent, localName }: DescField) =>
    verdicts[parent.typeName]?.[localName] !== "leaves";
  return fields.some(stays) || fields.at(-1)?.message !== undefined;
}

/** One of the two is in the other. */
function overlap(one: string, other: string): boolean {
  return `${one}.`.startsWith(`${other}.`) || `${other}.`.startsWith(`${one}.`);
}

/** A step that does not say its type may be any. */
function takeOutOfSteps(
  { side, types }: { side: Side; types: readonly StepType[] },
  keys: readonly string[],
): TakeOut {
  const isAbout = (type: StepType) => type === StepType.UNSPECIFIED || types.includes(type);
  const reaches = (one: Side) => one === side || keys.length > 0;
  return ({ payload }: Event) => {
    if (payload.case === "stepStarted") {
      const { type, input } = payload.value;
      if (input && isAbout(type) && reaches("input")) payload.value.input = without(input, keys);
    } else if (payload.case === "stepCompleted") {
      const { type, output } = payload.value;
      if (output && isAbout(type) && reaches("output"))
        payload.value.output = without(output, keys);
    }
  };
}

function without(value: Value, keys: readonly string[]): Value {
  if (keys.length === 0) return fromJson(ValueSchema, redacted);
  return fromJson(ValueSchema, withoutKeyAnywhere(toJson(ValueSchema, value), keys));
}
