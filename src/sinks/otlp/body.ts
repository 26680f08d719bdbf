import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { type Event, type Part, PartSchema } from "@sessiond/contract";
import type { Body } from "./records.ts";
import { jsonOf } from "./values.ts";

/** What an event says, if it may leave: what must not is gone from the event already. */
export function bodyOf({ payload }: Event): Body | undefined {
  const body = contentOf(payload);
  return body === "" ? undefined : body;
}

function contentOf(payload: Event["payload"]): Body | undefined {
  switch (payload.case) {
    case "message":
      return withParts(payload.value.text, payload.value.parts);
    case "thinking":
      return payload.value.text;
    case "toolCall":
    case "amendment":
      return payload.value.arguments;
    case "toolResult":
      return withParts(payload.value.content, payload.value.parts);
    case "approvalRequest":
      return payload.value.prompt;
    case "approvalResponse":
    case "sessionReopened":
    case "handoff":
    case "redaction":
      return payload.value.reason;
    case "output":
      return payload.value.text || jsonOf(payload.value.value);
    case "error":
      return payload.value.message;
    case "requestRecorded":
      return payload.value.error?.message;
    case "stepStarted":
      return jsonOf(payload.value.input);
    case "stepCompleted":
      return jsonOf(payload.value.output);
    case "sessionStarted":
      return payload.value.goal;
    case "sessionEnded":
      return payload.value.end?.errorMessage || payload.value.end?.reason;
    case "stateChanged":
      return nonEmpty(payload.value.patch);
    case "compaction":
      return payload.value.summary;
    case "compactionDue":
      return payload.value.previousSummary;
    case "custom":
      return jsonOf(payload.value.value);
    // Those say no more than their attributes.
    case "rewind":
    case "compactionReverted":
    case "protectionChanged":
    case "forked":
    case undefined:
      return undefined;
  }
}

function withParts(text: string, parts: readonly Part[]): Body {
  if (parts.length === 0) return text;
  const list = parts.map((part) => toJson(PartSchema, part));
  return text === "" ? { parts: list } : { text, parts: list };
}

function nonEmpty(patch: JsonObject | undefined): Body | undefined {
  return patch === undefined || Object.keys(patch).length === 0 ? undefined : patch;
}
