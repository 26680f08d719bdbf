import { toJson } from "@bufbuild/protobuf";
import { durationMs, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { SessionEvent } from "@sessiond/client";
import { SessionState, StepStatus, StepType } from "@sessiond/contract";
import type { Output } from "../host.ts";
import { type Paint, paintFor } from "./colours.ts";
import { safe, safeLines } from "./safe.ts";
import { clockTime, durationText } from "./times.ts";
import { cut, padded } from "./width.ts";

const sessionColumns = 24;
const labelColumns = 10;

/** How events are shown as text. */
export interface EventLineOptions {
  readonly output: Output;
  /** Name the session on each line. */
  readonly withSession: boolean;
  /** Show texts whole, over as many lines as they have. Default: one line, cut to the terminal. */
  readonly full: boolean;
  /** Tells which day is today, whose date is left out. Default: the clock. */
  readonly now?: () => Date;
}

/**
 * Gives the function that shows an event as a line of text: time, session, revision, voice, text.
 *
 * Nothing in an event can steer the terminal; control characters are written out.
 */
export function eventLines(
  options: EventLineOptions,
): (sessionId: string, event: SessionEvent) => string {
  const { output, withSession, full, now = () => new Date() } = options;
  const paint = paintFor(output);
  return (sessionId, event) => {
    const time = clockTime(event.createTime, now());
    const session = withSession ? [padded(safe(sessionId), sessionColumns)] : [];
    const revision = String(event.revision).padStart(4);
    const label = padded(labelOf(event), labelColumns);
    const indent = [time, ...session, revision, label].join("  ").length + 2;
    const cells = [
      paint("gray", time),
      ...session.map((name) => paint("cyan", name)),
      paint("gray", revision),
      paint(colourOf(event), label),
    ];
    const text = textOf({ event, paint, full, room: roomFor(output, indent) });
    return `${[...cells, text].join("  ").trimEnd()}\n`;
  };
}

function roomFor(output: Output, indent: number): number {
  return output.isTerminal ? Math.max(10, output.columns() - indent) : Number.POSITIVE_INFINITY;
}

function textOf(args: { event: SessionEvent; paint: Paint; full: boolean; room: number }): string {
  const { event, paint, full, room } = args;
  const marks = [event.kind && `[${event.kind}]`, event.author && `${event.author}:`]
    .filter((mark) => mark !== "")
    .map((mark) => safe(mark));
  const prefix = marks.length === 0 ? "" : `${marks.join(" ")} `;
  const summary = summaryOf(event);
  const shown = full
    ? safeLines(summary, "    ")
    : cut(safe(shortened(summary, room)), Math.max(10, room - prefix.length));
  return (prefix && paint("gray", prefix)) + (isFailure(event) ? paint("red", shown) : shown);
}

/** A megabyte need not be made safe to show a line of it. */
function shortened(text: string, room: number): string {
  return Number.isFinite(room) && text.length > room + 1 ? text.slice(0, room + 1) : text;
}

/** Words for payloads whose own name is too long, or says less. */
const labels: Readonly<Partial<Record<NonNullable<SessionEvent["type"]>, string>>> = {
  toolCall: "call",
  toolResult: "result",
  approvalRequest: "approve?",
  approvalResponse: "approval",
  stepStarted: "step",
  stepCompleted: "step done",
  sessionStarted: "started",
  sessionEnded: "ended",
  sessionReopened: "reopened",
  requestRecorded: "request",
  stateChanged: "state",
  compactionDue: "due",
  compactionReverted: "reverted",
  protectionChanged: "protection",
};

/** What an event is, in a word or two. */
export function labelOf({ type, role }: SessionEvent): string {
  if (type === undefined) return "unknown";
  if (type === "message") return role ?? "message";
  return labels[type] ?? type.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** The colour of an event's label; red for what failed. */
export function colourOf(event: SessionEvent): Parameters<Paint>[0] {
  if (isFailure(event)) return "red";
  switch (event.type) {
    case "message":
      return event.role === "user" ? "green" : event.role === "assistant" ? "blue" : "magenta";
    case "toolCall":
    case "toolResult":
      return "yellow";
    default:
      return "gray";
  }
}

function isFailure({ type, toolResult }: SessionEvent): boolean {
  return type === "error" || toolResult?.isError === true;
}

/** What an event says, as one text that may still steer a terminal. */
export function summaryOf(event: SessionEvent): string {
  const { payload } = event.message;
  switch (payload.case) {
    case "message":
      return [event.text, ...payload.value.parts.map(partText)].filter(Boolean).join(" ");
    case "toolCall":
      return `${payload.value.name}(${payload.value.arguments})`;
    case "amendment":
      return `of ${payload.value.revision}: (${payload.value.arguments})`;
    case "error":
      return [payload.value.code, payload.value.message].filter(Boolean).join(": ");
    case "sessionStarted":
      return [payload.value.agentId, payload.value.model, payload.value.goal]
        .filter(Boolean)
        .join(", ");
    case "sessionEnded": {
      const { state, end } = payload.value;
      const words = [SessionState[state]?.toLowerCase(), end?.reason, end?.errorMessage];
      return words.filter(Boolean).join(", ");
    }
    case "sessionReopened": {
      const { from, reason } = payload.value;
      return [`it was ${SessionState[from]?.toLowerCase()}`, reason].filter(Boolean).join(", ");
    }
    case "stepStarted":
      return [StepType[payload.value.type]?.toLowerCase(), payload.value.name]
        .filter(Boolean)
        .join(" ");
    case "stepCompleted": {
      const { type, name, status } = payload.value;
      const { duration } = event.message;
      const time = duration === undefined ? "" : durationText(durationMs(duration));
      return [StepType[type]?.toLowerCase(), name, StepStatus[status]?.toLowerCase(), time]
        .filter(Boolean)
        .join(" ");
    }
    case "output":
      return event.text || jsonOf(payload.value.value);
    case "handoff":
      return [`${payload.value.from} -> ${payload.value.to}`, payload.value.reason]
        .filter(Boolean)
        .join(", ");
    case "custom":
      return payload.value.type;
    case "rewind":
      return `to revision ${payload.value.revision}`;
    case "stateChanged":
      return JSON.stringify(payload.value.patch ?? {});
    default:
      return event.text;
  }
}

function jsonOf(value: Value | undefined): string {
  return value === undefined ? "" : JSON.stringify(toJson(ValueSchema, value));
}

function partText({
  content,
}: {
  content: { case?: string | undefined; value?: unknown };
}): string {
  return typeof content.value === "string" ? content.value : `[${content.case ?? "part"}]`;
}
