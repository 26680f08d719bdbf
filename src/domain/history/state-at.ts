import { create } from "@bufbuild/protobuf";
import { type StateRecord, StateRecordSchema } from "@sessiond/contract/store";
import { limits } from "../../limits.ts";
import { placesOf, readLog } from "../../store/log.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { scopedPatch } from "../state/keys.ts";
import type { StateScopes } from "../state/scopes.ts";
import { patched } from "../state/values.ts";

/**
 * The state of a session by its own keys as it was after the change at a revision; 0: before the first.
 * The newest one is kept; an older one is read out of the log, from its beginning on. Undefined: empty.
 *
 * Errors: DataLossError.
 */
export async function stateAt(
  from: { store: Store; scopes: StateScopes },
  stored: StoredSession,
  stateRevision: number,
): Promise<StateRecord | undefined> {
  if (stateRevision === 0) return undefined;
  const { namespace, uid } = stored.session;
  if (stateRevision === stored.head.stateRevision) {
    const [record] = await from.scopes.read([{ of: "session", namespace, uid }]);
    return record;
  }
  let values: StateRecord["values"] = {};
  const log = placesOf(stored);
  for (let first = 1; first <= stateRevision; ) {
    const events = await readLog(from.store, {
      log,
      first,
      last: stateRevision,
      maxEvents: limits.pageSize,
      maxBytes: limits.pageBytes,
    });
    for (const { payload } of events) {
      if (payload.case !== "stateChanged") continue;
      values = patched(values ?? {}, scopedPatch(payload.value.patch ?? {}).session);
    }
    if (events.length === 0) break;
    first += events.length;
  }
  return Object.keys(values).length === 0 ? undefined : create(StateRecordSchema, { values });
}
