import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Session } from "@sessiond/contract";
import type { StoredSession } from "../store/store.ts";
import { expireTimeMs } from "./expiry.ts";

/** A session as callers see it: its fields and its head in one message. */
export function sessionView({ session, head }: StoredSession): Session {
  const view: Session = { ...session, headRevision: head.revision };
  if (head.metrics) view.metrics = head.metrics;
  if (head.lastActivityTime) {
    view.lastActivityTime = head.lastActivityTime;
    // The stored time is that of the last change of the session; appends move idle expiry along.
    const dueMs = expireTimeMs(session, timestampMs(head.lastActivityTime));
    if (dueMs !== undefined) view.expireTime = timestampFromMs(dueMs);
  }
  return view;
}
