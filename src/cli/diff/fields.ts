import { isDeepStrictEqual } from "node:util";
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import type { Session } from "@sessiond/client";
import { SessionSchema } from "@sessiond/contract";

/** A field in which two sessions differ; what one has not is undefined. */
export interface FieldDifference {
  readonly field: string;
  readonly a: JsonValue | undefined;
  readonly b: JsonValue | undefined;
}

/** Fields that differ between any two sessions, or that the logs tell. */
const ofEach: ReadonlySet<string> = new Set([
  "sessionId",
  "uid",
  "parent",
  "createTime",
  "updateTime",
  "lastActivityTime",
  "startTime",
  "endTime",
  "expireTime",
  "reopenTime",
  "headRevision",
  "metrics",
  "etag",
]);

/** Fields in which two sessions differ, in the order of the contract. */
export function fieldDifferences(a: Session, b: Session): FieldDifference[] {
  const [ofA, ofB] = [a, b].map(
    ({ message }) => toJson(SessionSchema, message) as Readonly<Record<string, JsonValue>>,
  );
  return SessionSchema.fields
    .map(({ jsonName: field }) => ({ field, a: ofA?.[field], b: ofB?.[field] }))
    .filter((found) => !ofEach.has(found.field) && !isDeepStrictEqual(found.a, found.b));
}
