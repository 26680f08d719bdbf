import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Duration, timestampMs, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Event } from "@sessiond/contract";

/** What nanoseconds in 64 bits can say, in milliseconds: a time of 2262. */
const lastMs = 2 ** 63 / 1_000_000;

/** The time of an event, which an import may have brought from anywhere, within what OTLP can say. */
export function timeMsOf({ createTime }: Event): number {
  const ms = createTime === undefined ? 0 : timestampMs(createTime);
  return Math.min(Math.max(0, ms), lastMs);
}

/** With its fractions. Undefined: unknown. */
export function msOf(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1_000 + duration.nanos / 1_000_000;
}

/** A structure as JSON; undefined: there is none. */
export function jsonOf(value: Value | undefined): JsonValue | undefined {
  if (value === undefined || value.kind.case === undefined) return undefined;
  return toJson(ValueSchema, value);
}

/** A text as it stands, a structure as JSON; undefined: there is none. */
export function textOf(value: JsonValue | undefined): string | undefined {
  if (value === undefined || value === "") return undefined;
  return typeof value === "string" ? value : JSON.stringify(value);
}
