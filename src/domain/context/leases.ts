import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { EventSchema, ToolResultSchema } from "@sessiond/contract";
import type { OpenCall } from "@sessiond/contract/store";
import type { StoredSession } from "../../store/store.ts";
import type { EventDraft } from "../record.ts";
import { tokenCount } from "../tokens/encodings.ts";
import { windowPolicy } from "./policy.ts";

const overdue = "Cancelled: no result came in time.";
const cancelled = "Cancelled: the session was cancelled.";

/**
 * Results that close the calls whose lease is over, for an append to put in front of its own events.
 *
 * A lease begins anew with every sign of life: progress, and a request or an answer about approval.
 * A call that the append itself says something about is left open. So are all calls of one id until
 * the newest of them is dead, because a result could not say which of them it is for. Pure.
 */
export function deadCallResults(
  before: StoredSession,
  drafts: readonly EventDraft[],
  nowMs: number,
): EventDraft[] {
  const { openCalls = [] } = before.head.context ?? {};
  if (openCalls.length === 0) return [];
  const { callLeaseMs } = windowPolicy(before.session);
  const isOverdue = ({ createTime }: OpenCall) =>
    createTime !== undefined && timestampMs(createTime) + callLeaseMs <= nowMs;
  const spoken = spokenOf(drafts);
  const alive = new Set(
    openCalls
      .filter((call) => !isOverdue(call) || spoken.has(call.callId) || spoken.has(call.approvalId))
      .map(({ callId }) => callId),
  );
  const dead = openCalls.filter(({ callId }) => !alive.has(callId));
  return closingResults(before, dead, overdue);
}

/** Results that close all open calls of a session that is cancelled. Pure. */
export function cancelledResults(before: StoredSession): EventDraft[] {
  return closingResults(before, before.head.context?.openCalls ?? [], cancelled);
}

function closingResults(
  { session }: StoredSession,
  calls: readonly OpenCall[],
  content: string,
): EventDraft[] {
  const { encoding } = windowPolicy(session).encoding;
  // Every byte is a token at most.
  const tokens = tokenCount({ count: Buffer.byteLength(content), encoding, estimated: true });
  return calls.map(({ callId }) => {
    const value = create(ToolResultSchema, { callId, content, isError: true });
    return { event: create(EventSchema, { payload: { case: "toolResult", value } }), tokens };
  });
}

/** Ids of the open calls and approvals that events are about; an id may begin a new call among them. */
function spokenOf(drafts: readonly EventDraft[]): ReadonlySet<string> {
  const begun = new Set<string>();
  const spoken = new Set<string>();
  for (const { event } of drafts) {
    const { payload } = event;
    if (payload.case === "toolCall") begun.add(payload.value.callId);
    if (payload.case === "approvalResponse") spoken.add(payload.value.approvalId);
    if (payload.case !== "toolResult" && payload.case !== "approvalRequest") continue;
    if (!begun.has(payload.value.callId)) spoken.add(payload.value.callId);
  }
  return spoken;
}
