import { create } from "@bufbuild/protobuf";
import { RevisionRangeSchema, RewindSchema, type SessionMetrics } from "@sessiond/contract";
import {
  type ContextState,
  type OpenCall,
  OpenCallSchema,
  type SessionHead,
} from "@sessiond/contract/store";
import { RewindsFullError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { StoredSession } from "../../store/store.ts";
import { stateOf } from "../context/state.ts";
import { appendRecord } from "../decisions.ts";
import type { Outcome } from "../record.ts";
import { asCheckpoint } from "./checkpoints.ts";
import { isHidden } from "./visible.ts";

/**
 * Hides what follows the revision of `target`, which is the head of the session at that revision.
 * Pure. Errors: SessionEndedError, RewindsFullError.
 */
export function rewindSession(before: StoredSession, target: SessionHead, nowMs: number): Outcome {
  const head = rewoundHead(before.head, target);
  if (stateOf({ head }).hidden.length > limits.hiddenRanges) {
    throw new RewindsFullError({ sessionId: before.session.sessionId, limit: limits.hiddenRanges });
  }
  const value = create(RewindSchema, { revision: target.revision });
  const { after, events } = appendRecord({ ...before, head }, { case: "rewind", value }, nowMs);
  return { after: { ...after, head: asCheckpoint(after.head) }, events };
}

/**
 * A head in front of its `rewind` event: what windows know is that of `target`, what was counted stays
 * counted.
 */
export function rewoundHead(head: SessionHead, target: SessionHead): SessionHead {
  return {
    ...head,
    turn: target.turn,
    windowTokens: target.windowTokens,
    context: rewoundContext(head, target),
    ...(head.metrics && { metrics: inForce(head.metrics, target) }),
  };
}

function rewoundContext(head: SessionHead, target: SessionHead): ContextState {
  const context = stateOf({ head: target });
  const range = create(RevisionRangeSchema, { first: target.revision + 1, last: head.revision });
  const hidden = [...context.hidden, range];
  const { openCalls, hiddenCalls } = stateOf({ head });
  const lost = [...hiddenCalls, ...openCalls].filter(({ revision }) => isHidden(hidden, revision));
  return { ...context, hidden, hiddenCalls: joined(context.hiddenCalls, lost) };
}

/** The newest calls of both lists, each once, by revision: what is needed to refuse their results. */
function joined(a: readonly OpenCall[], b: readonly OpenCall[]): OpenCall[] {
  const byRevision = new Map([...a, ...b].map((call) => [call.revision, call]));
  return [...byRevision.values()]
    .sort((one, other) => one.revision - other.revision)
    .slice(-limits.hiddenCalls)
    .map(({ callId, revision }) => create(OpenCallSchema, { callId, revision }));
}

/** Counters with what is in force at the head that a rewind leads to. */
function inForce(metrics: SessionMetrics, target: SessionHead): SessionMetrics {
  const { compactions: _hidden, ...rest } = metrics;
  const { compactions, protectedEvents = 0 } = target.metrics ?? {};
  return { ...rest, protectedEvents, ...(compactions && { compactions }) };
}
