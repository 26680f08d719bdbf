import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  type RequestMetrics,
  RequestMetricsSchema,
  type RequestRecorded,
  Role,
  type SessionMetrics,
  SessionMetricsSchema,
  StepMetricsSchema,
  TokenUsageSchema,
} from "@sessiond/contract";
import type { OpenCall, SessionHead } from "@sessiond/contract/store";
import { sizeOf } from "../store/encoded.ts";
import { sideOf, stepTypeOf, traitsOf } from "./payloads.ts";
import { withToolEvent } from "./tool-counts.ts";

/** Callers report what they like; a sum stops at the largest number its field can carry. */
const maxUint32 = 0xffff_ffff;
const nsPerMs = 1e6;
const nsPerSecond = 1_000_000_000n;
const maxDurationNs = 315_576_000_000n * nsPerSecond;

type Counted = "revision" | "turn" | "step" | "stateRevision" | "endRevision" | "metrics";

/** The numbers of a head while events are counted into it. */
export class Counts {
  readonly #metrics: SessionMetrics;
  #revision: number;
  #turn: number;
  /** A user message is there that no rewind hides. */
  #hasTurn: boolean;
  #step: number;
  #stateRevision: number;
  #endRevision: number;

  constructor(head: SessionHead) {
    const metrics = head.metrics ?? create(SessionMetricsSchema);
    this.#metrics = { ...metrics, tokens: { ...(metrics.tokens ?? create(TokenUsageSchema)) } };
    this.#revision = head.revision;
    this.#turn = head.turn;
    this.#hasTurn = (head.context?.firstUserRevision ?? 0) > 0;
    this.#step = head.step;
    this.#stateRevision = head.stateRevision;
    this.#endRevision = head.endRevision;
  }

  /** Gives the event its place: the user's first message belongs to turn 0 like all before it. */
  number(event: Event): void {
    event.revision = ++this.#revision;
    if (event.payload.case === "message" && event.role === Role.USER) {
      if (this.#hasTurn) this.#turn++;
      this.#hasTurn = true;
      this.#metrics.turns++;
    }
    event.turn = this.#turn;
    event.step = traitsOf(event).isStep ? ++this.#step : 0;
  }

  /** Counts an event that has its numbers. `closed`: the call that it closes. */
  add(event: Event, closed: OpenCall | undefined): void {
    const metrics = this.#metrics;
    metrics.events++;
    metrics.steps = this.#step;
    if (event.payload.case === "message") metrics.messages++;
    if (event.payload.case === "toolCall") metrics.toolCalls++;
    if (event.payload.case === "error") metrics.errors++;
    if (event.payload.case === "stateChanged") this.#stateRevision = event.revision;
    if (event.payload.case === "sessionEnded") this.#endRevision = event.revision;
    if (event.payload.case === "requestRecorded") {
      metrics.requests = withRequest(metrics.requests, event.payload.value);
    }
    const type = stepTypeOf(event);
    if (type !== undefined) {
      const counts = metrics.stepsByType ?? create(StepMetricsSchema);
      metrics.stepsByType = { ...counts, [type]: counts[type] + 1 };
    }
    metrics.tools = withToolEvent(metrics.tools, event, closed);
    if (event.protection !== undefined) metrics.protectedEvents++;
    metrics.storedBytes += sizeOf(event);

    const usage = metrics.tokens ?? create(TokenUsageSchema);
    const tokens = event.tokens?.count ?? 0;
    const side = sideOf(event);
    usage.total = Math.min(usage.total + tokens, maxUint32);
    if (side === "input") usage.input = Math.min(usage.input + tokens, maxUint32);
    if (side === "output") usage.output = Math.min(usage.output + tokens, maxUint32);
    if (event.usage !== undefined) {
      const { inputTokens, outputTokens, cost } = event.usage;
      usage.reportedInput = Math.min(usage.reportedInput + inputTokens, maxUint32);
      usage.reportedOutput = Math.min(usage.reportedOutput + outputTokens, maxUint32);
      usage.reportedCost = Math.min(usage.reportedCost + cost, Number.MAX_VALUE);
    }
    metrics.tokens = usage;
    metrics.averageTokensPerEvent = usage.total / metrics.events;
  }

  /** The fields of a head that are counted here. */
  get fields(): Pick<SessionHead, Counted> {
    return {
      revision: this.#revision,
      turn: this.#turn,
      step: this.#step,
      stateRevision: this.#stateRevision,
      endRevision: this.#endRevision,
      metrics: this.#metrics,
    };
  }
}

function withRequest(
  before: RequestMetrics | undefined,
  { processingTime, error, count: isCounted = true }: RequestRecorded,
): RequestMetrics {
  const known = before ?? create(RequestMetricsSchema);
  const { processingTime: sum } = known;
  const count = known.count + (isCounted ? 1 : 0);
  const errors = known.errors + (error === undefined ? 0 : 1);
  // In whole nanoseconds: requests of less than a millisecond add up, and in any order to the same.
  const totalNs = nanoseconds(sum) + nanoseconds(processingTime);
  const timeNs = totalNs < maxDurationNs ? totalNs : maxDurationNs;
  return create(RequestMetricsSchema, {
    count,
    errors,
    errorRate: count === 0 ? 0 : Math.min(1, errors / count),
    ...(timeNs > 0n && {
      processingTime: { seconds: timeNs / nsPerSecond, nanos: Number(timeNs % nsPerSecond) },
    }),
    ...(timeNs > 0n &&
      count > 0 && {
        averageProcessingTime: durationFromMs(Math.round(Number(timeNs) / nsPerMs / count)),
      }),
  });
}

function nanoseconds(duration: Duration | undefined): bigint {
  return duration === undefined ? 0n : duration.seconds * nsPerSecond + BigInt(duration.nanos);
}
