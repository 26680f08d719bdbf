import { type Event, type SessionMetrics, SessionState } from "@sessiond/contract";
import { momentsOf } from "./timeline.ts";

/** What an event is to the model: all of it that rules are about. */
export interface ModelEvent {
  readonly kind: NonNullable<Event["payload"]["case"]>;
  readonly atMs: number;
  readonly tokens: number;
  /** Of a message: the model wrote it, not the user. */
  readonly isAssistant: boolean;
  /** Of a tool call or a result. */
  readonly callId: string;
  /** Of a tool call or an amendment: the arguments. */
  readonly text: string;
  /** Of an amendment: revision of the call. */
  readonly amends: number;
  /** Of a result: the call is closed by it. */
  readonly isFinal: boolean;
  /** Of `session_ended`: the state it led to; of `session_reopened`: the one before. */
  readonly state: SessionState;
  /** Of `rewind`: the newest revision that stays visible. */
  readonly rewindTo: number;
  /** Of `request_recorded`. */
  readonly request: { readonly isCounted: boolean; readonly failed: boolean; readonly ms: number };
}

/** A new event, with what it does not say left empty. */
export function modelEvent(
  kind: ModelEvent["kind"],
  fields: Partial<Omit<ModelEvent, "kind">> = {},
): ModelEvent {
  return {
    ...{ kind, atMs: 0, tokens: 0, isAssistant: false, callId: "", isFinal: true, rewindTo: 0 },
    ...{ text: "", amends: 0 },
    ...{ state: SessionState.UNSPECIFIED, request: { isCounted: true, failed: false, ms: 0 } },
    ...fields,
  };
}

/** The numbers of one event, as its place in the log gives them. */
export interface Numbers {
  readonly kind: ModelEvent["kind"];
  readonly revision: number;
  readonly turn: number;
  readonly step: number;
  readonly atMs: number;
  readonly tokens: number;
}

const steps: readonly string[] = ["thinking", "toolCall", "toolResult", "output", "error"];

export function isStep({ kind }: ModelEvent): boolean {
  return steps.includes(kind);
}

function beginsTurn({ kind, isAssistant }: ModelEvent): boolean {
  return kind === "message" && !isAssistant;
}

/** Numbers every event of a log, from the first on. */
export function numbered(log: readonly ModelEvent[]): Numbers[] {
  let step = 0;
  const moments = momentsOf(log);
  return log.map((event, index) => {
    if (isStep(event)) step++;
    return {
      kind: event.kind,
      revision: index + 1,
      turn: moments[index + 1]?.turn ?? 0,
      step: isStep(event) ? step : 0,
      atMs: event.atMs,
      tokens: event.tokens,
    };
  });
}

/** The events of a log that no rewind hides. */
export function visibleOf(log: readonly ModelEvent[]): Numbers[] {
  const visible = new Set(momentsOf(log).at(-1)?.visible);
  return numbered(log).filter(({ revision }) => visible.has(revision));
}

/** Counters that the model knows, from a whole log. */
export type Counters = Pick<
  SessionMetrics,
  "events" | "messages" | "turns" | "steps" | "toolCalls" | "errors"
> & {
  readonly tokens: { readonly total: number; readonly input: number; readonly output: number };
  readonly requests: { readonly count: number; readonly errors: number; readonly ms: number };
};

export function counted(log: readonly ModelEvent[]): Counters {
  const count = (is: (event: ModelEvent) => boolean) => log.filter(is).length;
  const tokens = (is: (event: ModelEvent) => boolean) =>
    log.filter(is).reduce((sum, event) => sum + event.tokens, 0);
  const isRequest = ({ kind }: ModelEvent) => kind === "requestRecorded";
  const isOutput = ({ kind, isAssistant }: ModelEvent) =>
    ["thinking", "toolCall", "output"].includes(kind) || (kind === "message" && isAssistant);
  return {
    events: log.length,
    messages: count(({ kind }) => kind === "message"),
    turns: count(beginsTurn),
    steps: count(isStep),
    toolCalls: count(({ kind }) => kind === "toolCall"),
    errors: count(({ kind }) => kind === "error"),
    tokens: {
      total: tokens(() => true),
      input: tokens((event) => !isOutput(event) && event.kind !== "amendment"),
      output: tokens(isOutput),
    },
    requests: {
      count: count((event) => isRequest(event) && event.request.isCounted),
      errors: count((event) => isRequest(event) && event.request.failed),
      ms: log.filter(isRequest).reduce((sum, { request }) => sum + request.ms, 0),
    },
  };
}
