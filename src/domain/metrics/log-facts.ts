import { type Duration, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Event, type RequestRecorded, Role, SessionState } from "@sessiond/contract";
import type { OpenCall } from "@sessiond/contract/store";
import { limits } from "../../limits.ts";
import { sizeOf } from "../../store/encoded.ts";
import { type Counter, type Counters, count, newCounters } from "../../store/rollup-counters.ts";
import type { HourFacts } from "../../store/store.ts";
import { sideOf, stepTypeOf } from "../payloads.ts";

export const hourMs = 3_600_000;

/** What happened in an hour, while it is put together. */
interface Hour {
  readonly hour: number;
  readonly counters: Counters;
  sessionsUs: number[];
  stepsUs: number[];
}

/** Shared by all hours without durations: every append makes an hour. */
const none: number[] = [];

/** Ends by the state that they lead to. */
const ends: Partial<Record<SessionState, Counter>> = {
  [SessionState.COMPLETED]: "completed",
  [SessionState.FAILED]: "failed",
  [SessionState.CANCELLED]: "cancelled",
  [SessionState.TIMED_OUT]: "timedOut",
  [SessionState.LIMIT_REACHED]: "limitReached",
  [SessionState.EXPIRED]: "expired",
};

/**
 * What the events of a log count for, by the hour they happened in. Each counts once and for good: a
 * rewind hides it from windows, a reopening makes the session active again, and it has happened all the
 * same.
 */
export class LogFacts {
  readonly #hours: Hour[] = [];
  /** When calls without a result began, in microseconds, by revision; the newest of them. */
  #calls: Map<number, number> | undefined;
  #startUs: number | undefined;

  /** Of a log whose beginning is older: when its session started, and its open calls. */
  constructor(begun: { startTime?: Timestamp | undefined; openCalls?: readonly OpenCall[] } = {}) {
    this.#startUs = begun.startTime && microseconds(begun.startTime);
    for (const { revision, callTime } of begun.openCalls ?? []) {
      if (callTime !== undefined) this.#begin(revision, microseconds(callTime));
    }
  }

  /** Those in which something happened, in order. */
  get hours(): readonly HourFacts[] {
    return this.#hours;
  }

  /** Counts something that happened at a time in milliseconds since 1970. */
  count(name: Counter, atMs: number): void {
    count(this.#hour(atMs).counters, name);
  }

  /** Counts an event that is stored, with its time and its call. */
  add(event: Event): void {
    const { payload, createTime, tokens, usage } = event;
    if (createTime === undefined) return;
    const hour = this.#hour(timestampMs(createTime));
    const { counters } = hour;
    count(counters, "events");
    count(counters, "bytes", sizeOf(event));
    if (stepTypeOf(event) !== undefined) count(counters, "steps");
    if (tokens !== undefined) {
      const side = sideOf(event);
      count(counters, "tokens", tokens.count);
      if (side === "input") count(counters, "inputTokens", tokens.count);
      if (side === "output") count(counters, "outputTokens", tokens.count);
    }
    if (usage !== undefined) {
      count(counters, "reportedInputTokens", usage.inputTokens);
      count(counters, "reportedOutputTokens", usage.outputTokens);
      count(counters, "cost", usage.cost);
    }
    switch (payload.case) {
      case "message":
        count(counters, "messages");
        if (event.role === Role.USER) count(counters, "turns");
        break;
      case "toolCall":
        count(counters, "toolCalls");
        this.#begin(event.revision, microseconds(createTime));
        break;
      case "toolResult":
        if (event.callRevision > 0 && (payload.value.isFinal ?? true)) {
          this.#answered(hour, event, payload.value.isError, microseconds(createTime));
        }
        break;
      case "error":
        count(counters, "errors");
        break;
      case "requestRecorded":
        addRequest(counters, payload.value);
        break;
      case "compaction":
        count(counters, "compactions");
        count(counters, "tokensBeforeCompaction", payload.value.tokensBefore);
        count(counters, "tokensAfterCompaction", payload.value.tokensAfter);
        count(counters, "savedCost", payload.value.savedCost);
        break;
      case "sessionStarted":
      case "forked":
        this.#startUs = microseconds(createTime);
        break;
      case "sessionReopened":
        count(counters, "reopened");
        break;
      case "sessionEnded":
        this.#ended(hour, payload.value.state, microseconds(createTime));
        break;
      default:
    }
  }

  #hour(atMs: number): Hour {
    const hour = Math.max(0, Math.floor(atMs / hourMs));
    // Logs do not run backwards: it is the last one, or a new one behind it.
    let at = this.#hours.length;
    while (at > 0 && (this.#hours[at - 1]?.hour ?? 0) > hour) at--;
    const known = this.#hours[at - 1];
    if (known?.hour === hour) return known;
    const added = { hour, counters: newCounters(), sessionsUs: none, stepsUs: none };
    if (at === this.#hours.length) this.#hours.push(added);
    else this.#hours.splice(at, 0, added);
    return added;
  }

  #begin(revision: number, atUs: number): void {
    this.#calls ??= new Map();
    this.#calls.set(revision, atUs);
    if (this.#calls.size <= limits.openCalls) return;
    for (const oldest of this.#calls.keys()) {
      this.#calls.delete(oldest);
      return;
    }
  }

  #answered(hour: Hour, event: Event, isError: boolean, atUs: number): void {
    const { counters } = hour;
    const begunUs = this.#calls?.get(event.callRevision) ?? atUs;
    this.#calls?.delete(event.callRevision);
    const { duration } = event;
    const us = duration === undefined ? Math.max(0, atUs - begunUs) : durationUs(duration);
    count(counters, "toolResults");
    if (isError) count(counters, "toolErrors");
    count(counters, "toolUs", us);
    if (hour.stepsUs === none) hour.stepsUs = [];
    hour.stepsUs.push(us);
  }

  #ended(hour: Hour, state: SessionState, atUs: number): void {
    const name = ends[state];
    if (name === undefined) return;
    const us = Math.max(0, atUs - (this.#startUs ?? atUs));
    count(hour.counters, name);
    count(hour.counters, "sessionUs", us);
    if (hour.sessionsUs === none) hour.sessionsUs = [];
    hour.sessionsUs.push(us);
  }
}

function addRequest(counters: Counters, request: RequestRecorded): void {
  const { processingTime, error, count: isCounted = true } = request;
  if (isCounted) count(counters, "requests");
  if (error !== undefined) count(counters, "requestErrors");
  if (processingTime !== undefined) count(counters, "requestUs", durationUs(processingTime));
}

function microseconds({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1e6 + Math.floor(nanos / 1_000);
}

function durationUs({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1e6 + Math.floor(nanos / 1_000);
}
