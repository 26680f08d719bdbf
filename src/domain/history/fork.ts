import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  EventSchema,
  ForkedSchema,
  type Session,
  SessionParentKind,
  SessionParentSchema,
  SessionSchema,
  SessionState,
  type TraceContext,
} from "@sessiond/contract";
import { LogSegmentSchema, type SessionHead } from "@sessiond/contract/store";
import { uidBytes } from "../../store/keys.ts";
import { placesOf, segmentsUpTo } from "../../store/log.ts";
import type { StoredSession } from "../../store/store.ts";
import type { InstructionCounts } from "../context/instruction-sizes.ts";
import { stateOf } from "../context/state.ts";
import { withDueTime } from "../lifecycle/transitions.ts";
import { type Outcome, record } from "../record.ts";

/**
 * Makes a session that shares the log of `parent` up to the revision of `head`, which is the parent's
 * head at that revision. Its own log begins with `forked`. Pure.
 */
export function forkSession(
  parent: StoredSession,
  head: SessionHead,
  fields: Session,
  args: {
    uid: string;
    nowMs: number;
    instructions: InstructionCounts;
    trace?: TraceContext | undefined;
  },
): Outcome {
  const { uid, nowMs, instructions, trace } = args;
  const { revision } = head;
  const now = timestampFromMs(nowMs);
  const from = create(SessionParentSchema, {
    sessionId: parent.session.sessionId,
    revision,
    kind: SessionParentKind.FORK,
  });
  const session = create(SessionSchema, {
    ...fields,
    uid,
    state: SessionState.ACTIVE,
    createTime: now,
    updateTime: now,
    etag: "1",
    // Not in the event, which travels: a uid means something here only.
    parent: { ...from, uid: parent.session.uid },
  });
  const own = create(LogSegmentSchema, {
    uid: new Uint8Array(uidBytes(parent.session.uid)),
    lastRevision: parent.head.revision,
  });
  const inherited: SessionHead = {
    ...head,
    inherited: segmentsUpTo(placesOf(parent), own, revision),
    inheritedBytes: head.metrics?.storedBytes ?? 0,
    context: { ...stateOf({ head }), ...instructions },
  };
  const value = create(ForkedSchema, { parent: from });
  const event = create(EventSchema, {
    payload: { case: "forked", value },
    ...(trace && { trace }),
  });
  const { after, events } = record({ session, head: inherited }, [{ event }], nowMs);
  const startTime = after.head.lastActivityTime ?? now;
  return { after: withDueTime({ session: { ...session, startTime }, head: after.head }), events };
}
