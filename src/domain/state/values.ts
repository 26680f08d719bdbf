import { createHash } from "node:crypto";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { StateRecord } from "@sessiond/contract/store";
import { prefixOf, type ScopeName } from "./keys.ts";

/** Scopes that are stored. */
export type StoredScope = Exclude<ScopeName, "temp">;

/** The records of the scopes that a session sees. Absent: no such scope, or nothing in it. */
export type Records = { readonly [scope in StoredScope]?: StateRecord | undefined };

/** The values after a patch: the last write of a name wins, null removes it. */
export function patched(values: JsonObject, patch: ReadonlyMap<string, JsonValue>): JsonObject {
  const after = new Map(Object.entries(values));
  for (const [name, value] of patch) {
    if (value === null) after.delete(name);
    else after.set(name, value);
  }
  return asObject(after);
}

/** All that a session sees, under the keys a caller uses. */
export function stateView(records: Records, temp: JsonObject = {}): JsonObject {
  return asObject([
    ...withPrefix("session", records.session?.values),
    ...withPrefix("user", records.user?.values),
    ...withPrefix("app", records.app?.values),
    ...withPrefix("temp", temp),
  ]);
}

/**
 * Names the state that a session sees: other after every change of a scope of it, and for another
 * session or user. 128 bits, so that no two are alike by chance.
 */
export function stateEtag(owner: { uid: string; userId: string }, records: Records): string {
  const { session, user, app } = records;
  const versions = [session, user, app].map((record) => record?.version ?? "");
  const text = JSON.stringify([owner.uid, owner.userId, ...versions]);
  return createHash("sha256").update(text).digest().subarray(0, 16).toString("base64url");
}

/** Not by assignment: "__proto__" and "constructor" are names like any other. */
export function asObject(entries: Iterable<readonly [string, JsonValue]>): JsonObject {
  return Object.fromEntries(entries);
}

function withPrefix(scope: ScopeName, values: JsonObject = {}): [string, JsonValue][] {
  return Object.entries(values).map(([name, value]) => [prefixOf[scope] + name, value]);
}
