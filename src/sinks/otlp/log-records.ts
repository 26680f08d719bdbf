import { type Event, SessionState } from "@sessiond/contract";
import type { SinkMessage } from "../sink.ts";
import { known, ofEvent, ofSession, ofUsage, type Subject } from "./attributes.ts";
import { bodyOf } from "./body.ts";
import { eventNames, noticeNames, own } from "./names.ts";
import { ofPayload } from "./payload-attributes.ts";
import type { LogRecord, SpanRef } from "./records.ts";
import { msOf, timeMsOf } from "./values.ts";

/** The log record of an event that happened in a span. */
export function logOfEvent(subject: Subject, event: Event, span: SpanRef): LogRecord {
  const { case: name } = event.payload;
  return {
    timeMs: timeMsOf(event),
    severity: isFailure(event) ? "error" : "info",
    eventName: name === undefined ? "sessiond.event" : eventNames[name],
    body: bodyOf(event),
    attributes: {
      ...ofSession(subject),
      ...ofEvent(event),
      ...ofUsage(event),
      ...known({ [own.durationMs]: msOf(event.duration) }),
      ...ofPayload(event),
    },
    span,
  };
}

const failures: ReadonlySet<SessionState> = new Set([SessionState.FAILED, SessionState.TIMED_OUT]);

function isFailure({ payload }: Event): boolean {
  switch (payload.case) {
    case "error":
      return true;
    case "requestRecorded":
      return payload.value.error !== undefined;
    case "sessionEnded":
      return failures.has(payload.value.state);
    default:
      return false;
  }
}

/** What became of a log, told by no event of it. */
export type Notice = Exclude<SinkMessage, { kind: "event" }>;

/** The log record of a notice, at the time it is heard of. */
export function logOfNotice(namespace: string, notice: Notice, timeMs: number): LogRecord {
  const { kind } = notice;
  return {
    timeMs,
    severity: kind === "session_deleted" ? "info" : "warn",
    eventName: noticeNames[kind],
    body: kind === "gap" ? notice.description : undefined,
    attributes:
      kind === "gap"
        ? { [own.namespace]: namespace }
        : {
            ...ofSession({
              namespace,
              sessionId: notice.sessionId,
              uid: notice.sessionUid,
              agentId: "",
              model: "",
            }),
            [own.firstRevision]: notice.firstRevision,
            [own.lastRevision]: notice.lastRevision,
          },
  };
}
