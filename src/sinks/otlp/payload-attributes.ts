import type { Compaction, Event, SessionEnded } from "@sessiond/contract";
import { stateWords } from "../../domain/lifecycle/state-words.ts";
import { known } from "./attributes.ts";
import {
  otherError,
  own,
  parentWords,
  standard,
  statusWords,
  stepWords,
  strategyWords,
  toolType,
} from "./names.ts";
import type { Attributes, AttributeValue } from "./records.ts";
import { msOf } from "./values.ts";

/** What an event's payload says beside its content. */
export function ofPayload({ payload }: Event): Attributes {
  return known(attributesOf(payload));
}

type Unchecked = Readonly<Record<string, AttributeValue | undefined>>;

function attributesOf(payload: Event["payload"]): Unchecked {
  switch (payload.case) {
    case "toolCall":
      return ofTool(payload.value);
    case "toolResult": {
      const { callId, isError, isFinal = true } = payload.value;
      return { ...ofTool({ callId }), [own.isError]: isError, [own.isFinal]: isFinal };
    }
    case "approvalRequest": {
      const { callId, approvalId } = payload.value;
      return { [standard.ATTR_GEN_AI_TOOL_CALL_ID]: callId, [own.approvalId]: approvalId };
    }
    case "approvalResponse": {
      const { approvalId, approved } = payload.value;
      return { [own.approvalId]: approvalId, [own.approved]: approved };
    }
    case "error":
      return { ...ofError(payload.value.code), [own.retryable]: payload.value.retryable };
    case "requestRecorded": {
      const { processingTime, error } = payload.value;
      return { [own.processingMs]: msOf(processingTime), ...(error && ofError(error.code)) };
    }
    case "stepStarted": {
      const { type, name } = payload.value;
      return { [own.stepType]: stepWords[type], [own.stepName]: name };
    }
    case "stepCompleted": {
      const { type, name, status } = payload.value;
      const known = { [own.stepType]: stepWords[type], [own.stepName]: name };
      return { ...known, [own.stepStatus]: statusWords[status] };
    }
    case "sessionStarted":
      return { [standard.ATTR_GEN_AI_REQUEST_MODEL]: payload.value.model };
    case "sessionEnded":
      return ofEnd(payload.value);
    case "forked": {
      const { sessionId, revision, kind } = payload.value.parent ?? {};
      return {
        [own.parentSession]: sessionId,
        [own.parentRevision]: revision,
        [own.parentKind]: kind && parentWords[kind],
      };
    }
    case "handoff":
      return { [own.handoffFrom]: payload.value.from, [own.handoffTo]: payload.value.to };
    case "rewind":
      return { [own.visibleThrough]: payload.value.revision };
    case "compaction":
      return ofCompaction(payload.value);
    case "custom":
      return { [own.customType]: payload.value.type };
    default:
      return {};
  }
}

function ofTool({ callId, name }: { callId: string; name?: string }): Unchecked {
  return {
    [standard.ATTR_GEN_AI_TOOL_CALL_ID]: callId,
    [standard.ATTR_GEN_AI_TOOL_NAME]: name,
    [standard.ATTR_GEN_AI_TOOL_TYPE]: toolType,
  };
}

function ofError(code: string): Unchecked {
  return { [standard.ATTR_ERROR_TYPE]: code || otherError };
}

function ofEnd({ state, end }: SessionEnded): Unchecked {
  return { [own.sessionState]: stateWords[state], [own.sessionLimit]: end?.limit };
}

function ofCompaction(compaction: Compaction): Unchecked {
  return {
    [own.strategy]: strategyWords[compaction.strategy],
    [own.tokensBefore]: compaction.tokensBefore,
    [own.tokensAfter]: compaction.tokensAfter,
    [own.summaryTokens]: compaction.summaryTokens || undefined,
    [own.savedCost]: compaction.savedCost || undefined,
  };
}
