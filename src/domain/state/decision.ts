import { create } from "@bufbuild/protobuf";
import { StateChangedSchema } from "@sessiond/contract";
import { type StateRecord, StateRecordSchema } from "@sessiond/contract/store";
import { InvalidFieldError, StateTooLargeError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { StateChange, StateScope, StoredSession } from "../../store/store.ts";
import { appendRecord } from "../decisions.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { hasEnded, sessionEnded } from "../lifecycle/states.ts";
import type { Outcome } from "../record.ts";
import { checkLogSize } from "../sizes.ts";
import { structSize } from "../validation/json.ts";
import { fieldOf, prefixOf, type ScopedPatch, type ScopeName } from "./keys.ts";
import { asObject, patched, type Records, type StoredScope } from "./values.ts";

const storedScopes = ["session", "user", "app"] as const satisfies readonly StoredScope[];

/** The scopes that a session sees; a session without a user has no "user". */
export type Sight = { readonly [scope in StoredScope]?: StateScope };

/** What a patch leads to. */
export interface Patched {
  readonly records: Records;
  /** Absent: nothing is stored. */
  readonly stored?: { readonly outcome: Outcome; readonly states: readonly StateChange[] };
}

export function sightOf({ session }: StoredSession): Sight {
  const { namespace, uid, userId } = session;
  return {
    session: { of: "session", namespace, uid },
    ...(userId !== "" && { user: { of: "user", namespace, userId } }),
    app: { of: "app", namespace },
  };
}

/** The stored scopes that a patch changes. */
export function changedBy(patch: ScopedPatch): readonly StoredScope[] {
  return storedScopes.filter((scope) => patch[scope].size > 0);
}

/** Errors: InvalidFieldError for `user:` keys in a session without a user. */
function checkUser(sight: Sight, patch: ScopedPatch): void {
  if (sight.user !== undefined) return;
  const [first, ...more] = [...patch.user.keys()].slice(0, 16).map((name) => ({
    field: fieldOf(prefixOf.user + name),
    description: "the session has no user_id, so it has no user: keys; set user_id first",
  }));
  if (first !== undefined) throw new InvalidFieldError(first, ...more);
}

/**
 * Applies a patch to the scopes that a session sees, and records it with the session. Pure but for
 * `newVersion`.
 *
 * Errors: SessionEndedError, InvalidFieldError, StateTooLargeError, SessionLogFullError.
 */
export function patchState(
  before: StoredSession,
  args: { records: Records; patch: ScopedPatch; nowMs: number; newVersion: () => string },
): Patched {
  const { records, patch, nowMs, newVersion } = args;
  const current = asOf(before, nowMs);
  if (hasEnded(current)) throw sessionEnded(current);
  const sight = sightOf(before);
  checkUser(sight, patch);
  const { sessionId } = before.session;
  checkScopeSize({ sessionId, scope: "temp", values: asObject(patch.temp) });

  const after: { [scope in StoredScope]?: StateRecord | undefined } = { ...records };
  const states: StateChange[] = [];
  for (const name of changedBy(patch)) {
    const scope = sight[name];
    if (scope === undefined) continue;
    const values = patched(records[name]?.values ?? {}, patch[name]);
    checkScopeSize({ sessionId, scope: name, values });
    const isEmpty = Object.keys(values).length === 0;
    const record = isEmpty
      ? undefined
      : create(StateRecordSchema, { values, version: newVersion() });
    after[name] = record;
    states.push({ scope, ...(record && { record }) });
  }
  if (states.length === 0) return { records };
  const value = create(StateChangedSchema, { patch: recordedPatch(patch) });
  const outcome = appendRecord(before, { case: "stateChanged", value }, nowMs);
  checkLogSize(outcome, 1);
  return { records: after, stored: { outcome, states } };
}

/** The patch as the log keeps it. */
function recordedPatch(patch: ScopedPatch) {
  return asObject(
    storedScopes.flatMap((scope) =>
      [...patch[scope]].map(([name, value]) => [prefixOf[scope] + name, value] as const),
    ),
  );
}

function checkScopeSize(args: {
  sessionId: string;
  scope: ScopeName;
  values: Parameters<typeof structSize>[0];
}): void {
  const { sessionId, scope, values } = args;
  const actualBytes = structSize(values);
  const limitBytes = limits.stateScopeBytes;
  if (actualBytes > limitBytes) {
    throw new StateTooLargeError({ sessionId, scope, actualBytes, limitBytes });
  }
}
