import { create } from "@bufbuild/protobuf";
import { type Dialect, type Event, EventSchema, Role, Treatment } from "@sessiond/contract";
import type { ModelEncoding } from "../tokens/encodings.ts";
import { overheadOf } from "./dialects/overhead.ts";
import { labelled } from "./dialects/perspective.ts";
import type { Group } from "./groups.ts";
import type { Shortened } from "./shortenings.ts";
import type { EventSizes } from "./sizes.ts";

/** One event of a window, with what it costs. */
export interface Piece {
  readonly event: Event;
  readonly treatment: Treatment;
  readonly reason: string;
  readonly tokens: number;
  /** Tokens that the dialect adds. */
  readonly overhead: number;
}

/** How groups are shown: changes as a window is made to fit. */
export interface View {
  readonly dialect: Dialect;
  readonly encoding: ModelEncoding;
  readonly sizes: EventSizes;
  /** Agent the window is for; "": nobody's in particular. */
  readonly agent: string;
  /** Tool results that are shortened, and their short form. */
  readonly shortened: ReadonlyMap<Event, Shortened>;
  /** Thinking that is left out. */
  readonly omitted: ReadonlySet<Event>;
}

/** What stands for the results that a group lacks, so that it can be counted ahead. */
export function substitutesIn(group: Group): Event[] {
  return group.events
    .filter(({ payload }) => payload.case === "toolCall")
    .filter((call) => !group.events.some((event) => isResultOf(event, call)))
    .map((call) => substituteFor(call, group));
}

/** Tokens of the words of a label; a generous estimate. */
const wordsTokens = 24;

/**
 * What a window shows of a group, in the order that providers want: thinking, texts and calls, then
 * for each call exactly one result. A call without one gets a synthetic result.
 */
export function piecesOf(group: Group, view: View, reason: string): Piece[] {
  const { events } = group;
  const calls = events.filter(({ payload }) => payload.case === "toolCall");
  // A response is of one agent, whoever reports the results of its calls.
  const foreign = isOfAnother(events[0], view.agent) ? events[0]?.author : undefined;
  const shown = { view, reason, foreign };
  const pieces: Piece[] = [];
  for (const event of events) {
    if (view.omitted.has(event)) continue;
    // Results follow their calls below; one that answers no call stands alone, as a text, and so does
    // progress that is protected.
    if (event.payload.case === "toolResult" && !isAside(event, calls)) continue;
    pieces.push(pieceOf(event, { ...shown, tool: "" }));
  }
  for (const call of calls) {
    const result = events.find((event) => isResultOf(event, call));
    const tool = call.payload.case === "toolCall" ? call.payload.value.name : "";
    pieces.push(
      result === undefined
        ? madePiece(substituteFor(call, group), { ...shown, tool })
        : pieceOf(result, { ...shown, tool }),
    );
  }
  return pieces;
}

/** Tokens of pieces with what the dialect adds. */
export function costOf(pieces: readonly Piece[]): number {
  let sum = 0;
  for (const { tokens, overhead } of pieces) sum += tokens + overhead;
  return sum;
}

/** Whose group it is, and what is known about it. */
interface Place {
  readonly view: View;
  readonly reason: string;
  /** Another agent than the one the window is for, which the group is of. */
  readonly foreign: string | undefined;
  /** Name of the tool that a result is of. */
  readonly tool: string;
}

function pieceOf(event: Event, { view, reason, foreign, tool }: Place): Piece {
  const short = view.shortened.get(event);
  const shown = short?.event ?? event;
  const tokens = short?.tokens ?? view.sizes.of(event, view.encoding)?.count ?? 0;
  const why = event.protection?.reason ?? reason;
  const orphan =
    event.payload.case === "toolResult" &&
    (event.callRevision === 0 || event.payload.value.isFinal === false);
  if (orphan || foreign !== undefined) {
    // Whoever reports a result, it is of the agent that called.
    const text = labelled({ ...shown, author: foreign ?? shown.author }, tool);
    return {
      event: text,
      treatment: orphan ? Treatment.KEPT : Treatment.SYNTHETIC,
      reason: orphan ? why : "label",
      tokens: tokens + wordsTokens + text.author.length + tool.length,
      overhead: overheadOf(view.dialect, text),
    };
  }
  return {
    event: shown,
    treatment: short === undefined ? Treatment.KEPT : Treatment.SHORTENED,
    reason: why,
    tokens,
    overhead: overheadOf(view.dialect, shown),
  };
}

/** The group's own piece for a call that has no result, in the voice of the call's agent. */
function madePiece(event: Event, { view, foreign, tool }: Place): Piece {
  const shown = foreign === undefined ? event : labelled(event, tool);
  const label = foreign === undefined ? 0 : wordsTokens + event.author.length + tool.length;
  return {
    event: shown,
    treatment: Treatment.SYNTHETIC,
    reason: "no_result",
    tokens: (view.sizes.of(event, view.encoding)?.count ?? 0) + label,
    overhead: overheadOf(view.dialect, shown),
  };
}

/** Made results by their call; another one is made when more is known. */
const made = new WeakMap<Event, Event>();

/** What stands for the result of a call that has none: what is known about it. */
function substituteFor(call: Event, { events }: Group): Event {
  const content = stateOf(call, events);
  const known = made.get(call);
  if (known?.payload.case === "toolResult" && known.payload.value.content === content) return known;
  const callId = call.payload.case === "toolCall" ? call.payload.value.callId : "";
  const event = create(EventSchema, {
    role: Role.TOOL,
    author: call.author,
    turn: call.turn,
    group: call.group,
    callRevision: call.revision,
    // Not counted yet, in any encoding.
    tokens: {},
    payload: { case: "toolResult", value: { callId, content } },
  });
  made.set(call, event);
  return event;
}

/** Longest piece of progress shown for a call that runs, in characters. */
const progressLength = 400;

function stateOf(call: Event, events: readonly Event[]): string {
  const own = events.filter(({ callRevision }) => callRevision === call.revision);
  const answer = own.findLast(({ payload }) => payload.case === "approvalResponse")?.payload;
  if (answer?.case === "approvalResponse" && !answer.value.approved) {
    return ["Not run: approval was refused.", answer.value.reason.slice(0, progressLength)]
      .join(" ")
      .trim();
  }
  const progress = own.findLast(({ payload }) => payload.case === "toolResult")?.payload;
  if (progress?.case === "toolResult") {
    return `Still running. Newest progress: ${progress.value.content.slice(0, progressLength)}`;
  }
  const asked = own.some(({ payload }) => payload.case === "approvalRequest");
  return asked && answer === undefined ? "Waiting for approval." : "No result was recorded yet.";
}

/** A result that is shown beside the calls of its group, not behind one of them. */
function isAside({ payload, protection }: Event, calls: readonly Event[]): boolean {
  if (calls.length === 0) return true;
  const isProgress = payload.case === "toolResult" && payload.value.isFinal === false;
  return isProgress && protection !== undefined;
}

function isResultOf({ payload, callRevision }: Event, call: Event): boolean {
  return (
    payload.case === "toolResult" &&
    callRevision === call.revision &&
    (payload.value.isFinal ?? true)
  );
}

/** It was said or done by another agent than the one the window is for. */
function isOfAnother(event: Event | undefined, agent: string): boolean {
  if (event === undefined) return false;
  const { author, role } = event;
  if (agent === "" || author === "" || author === agent) return false;
  return role === Role.ASSISTANT || role === Role.TOOL;
}
