/*
 * What is known about a run, in the words of the outside: what was asked, what was answered and
 * what was read. The validators decide on nothing else.
 */

/** What an event is recognised by: the caller's id for it, and a hash of its content. */
export type EventMark = string;

/** An answer to a call. `place` orders it among all calls and answers. */
export type Answer =
  | {
      readonly kind: "acknowledged";
      readonly place: number;
      /** Revision and tokens of each event. */
      readonly revisions: readonly number[];
      readonly tokens: readonly number[];
    }
  | { readonly kind: "refused"; readonly place: number; readonly reason: string };

/** An append, and every answer to it: none while the outcome is unknown, one for each retry. */
export interface Call {
  readonly requestId: string;
  readonly sessionId: string;
  /** Its events in order. */
  readonly marks: readonly EventMark[];
  readonly expectedRevision?: number;
  /** When it was first sent, in the same order as the places of answers. */
  readonly place: number;
  readonly answers: readonly Answer[];
}

/** What a log or a stream says about one event. */
export interface Entry {
  readonly revision: number;
  readonly mark: EventMark;
}

/** What a session's head counts, or what its log adds up to. */
export interface Counters {
  readonly events: number;
  readonly messages: number;
  readonly turns: number;
  readonly steps: number;
  readonly toolCalls: number;
  readonly storedBytes: number;
  readonly tokens: number;
}

/** A session as read back while nobody wrote. */
export interface SessionLog {
  readonly sessionId: string;
  readonly entries: readonly (Entry & { readonly tokens: number })[];
  readonly headRevision: number;
  /** What the head says. */
  readonly counters: Counters;
  /** What the events add up to. */
  readonly recount: Counters;
}

/** One message of the watch, in the order they came, over all its resumptions. */
export interface Delivery {
  readonly sessionId: string;
  readonly entries: readonly Entry[];
}

/** An event a reader saw while others wrote. */
export interface Sighting extends Entry {
  readonly sessionId: string;
}

export interface History {
  readonly calls: readonly Call[];
  readonly logs: readonly SessionLog[];
  readonly deliveries: readonly Delivery[];
  readonly sightings: readonly Sighting[];
  /** Every call has an answer and the watch was given the time to catch up. */
  readonly isSettled: boolean;
}

/** The acknowledgement of a call, if it has one. */
export function acknowledgement({ answers }: Call) {
  return answers.find((answer) => answer.kind === "acknowledged");
}

/** Events the server writes by itself belong to no call. */
export function isOwnOfServer(mark: EventMark): boolean {
  return mark.startsWith("server/");
}
