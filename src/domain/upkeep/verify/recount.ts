import { create, equals } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import {
  type Compaction,
  CompactionMetricsSchema,
  type Event,
  RequestMetricsSchema,
  type RequestRecorded,
  Role,
  type SessionMetrics,
  TokenUsageSchema,
} from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";

/*
 * A second reading of what `metrics.proto` says, on purpose without the code that counts at appends:
 * a mistake there would be repeated here and never be found.
 */

const maxCount = 0xffff_ffff;
const maxDurationMs = 315_576_000_000_000;
/** Sums of prices that were added and taken away again differ in their last digits. */
const priceTolerance = 1e-6;

/** Counts a log from its first event on. */
export class Recount {
  #events = 0;
  #messages = 0;
  #userMessages = 0;
  #steps = 0;
  #toolCalls = 0;
  #errors = 0;
  #storedBytes = 0;
  #lastTurn = 0;
  #stateRevision = 0;
  #usage = { total: 0, input: 0, output: 0, reportedInput: 0, reportedOutput: 0, reportedCost: 0 };
  #requests: { count: number; errors: number; timeMs: number } | undefined;
  readonly #protected = new Set<number>();
  /** Compactions that were not taken back, by revision. */
  readonly #compactions = new Map<number, Compaction>();
  #sawCompaction = false;

  /** `bytes`: size of the event in its binary form. */
  add(event: Event, bytes: number): void {
    const { payload, revision } = event;
    this.#events += 1;
    this.#storedBytes += bytes;
    this.#lastTurn = event.turn;
    if (event.protection !== undefined) this.#protected.add(revision);
    switch (payload.case) {
      case "message":
        this.#messages += 1;
        if (event.role === Role.USER) this.#userMessages += 1;
        break;
      case "thinking":
      case "output":
      case "toolResult":
        this.#steps += 1;
        break;
      case "toolCall":
        this.#steps += 1;
        this.#toolCalls += 1;
        break;
      case "error":
        this.#steps += 1;
        this.#errors += 1;
        break;
      case "stateChanged":
        this.#stateRevision = revision;
        break;
      case "requestRecorded":
        this.#addRequest(payload.value);
        break;
      case "protectionChanged":
        for (const concerned of payload.value.revisions) {
          if (payload.value.reason === "") this.#protected.delete(concerned);
          else this.#protected.add(concerned);
        }
        break;
      case "compaction":
        this.#sawCompaction = true;
        this.#compactions.set(revision, payload.value);
        break;
      case "compactionReverted":
        this.#compactions.delete(payload.value.revision);
        break;
      default:
    }
    this.#addTokens(event);
  }

  /** What differs between a head and the recount, in words; empty when nothing does. */
  differences(head: SessionHead): { counters: string[]; context: string[] } {
    const counters: string[] = [];
    const context: string[] = [];
    const { metrics, context: state } = head;
    const note = (list: string[], name: string, kept: unknown, counted: unknown) => {
      if (kept !== counted) list.push(`${name} is ${kept}, the log has ${counted}`);
    };
    const pairs = {
      events: this.#events,
      messages: this.#messages,
      turns: this.#userMessages,
      steps: this.#steps,
      toolCalls: this.#toolCalls,
      errors: this.#errors,
      protectedEvents: this.#protected.size,
      storedBytes: this.#storedBytes,
    } satisfies Partial<SessionMetrics>;
    for (const [name, counted] of Object.entries(pairs)) {
      note(counters, name, metrics?.[name as keyof typeof pairs] ?? 0, counted);
    }
    note(counters, "step", head.step, this.#steps);
    note(counters, "turn", head.turn, this.#lastTurn);
    note(counters, "stateRevision", head.stateRevision, this.#stateRevision);
    if (
      !equals(TokenUsageSchema, this.#usageMessage(), metrics?.tokens ?? create(TokenUsageSchema))
    ) {
      counters.push("tokens are not the sum of those of the events");
    }
    if (!this.#sameRequests(metrics)) counters.push("requests are not those of the log");
    if (!this.#sameCompactions(metrics)) counters.push("compactions are not those of the log");

    const inForce = Math.max(0, ...this.#compactions.keys());
    note(context, "the compaction in force", state?.compaction?.revision ?? 0, inForce);
    const kept = state?.protected ?? [];
    if (kept.some(({ revision }) => !this.#protected.has(revision))) {
      context.push("it keeps protected events that the log does not protect");
    }
    note(context, "the number of protected events", kept.length, this.#protected.size);
    return { counters, context };
  }

  #addTokens(event: Event): void {
    const tokens = event.tokens?.count ?? 0;
    const usage = this.#usage;
    const capped = (sum: number) => Math.min(sum, maxCount);
    usage.total = capped(usage.total + tokens);
    const side = sideOf(event);
    if (side !== undefined) usage[side] = capped(usage[side] + tokens);
    if (event.usage === undefined) return;
    usage.reportedInput = capped(usage.reportedInput + event.usage.inputTokens);
    usage.reportedOutput = capped(usage.reportedOutput + event.usage.outputTokens);
    usage.reportedCost = Math.min(usage.reportedCost + event.usage.cost, Number.MAX_VALUE);
  }

  #addRequest({ processingTime, error, count = true }: RequestRecorded): void {
    this.#requests ??= { count: 0, errors: 0, timeMs: 0 };
    if (count) this.#requests.count += 1;
    if (error !== undefined) this.#requests.errors += 1;
    const timeMs = this.#requests.timeMs + millisecondsOf(processingTime);
    this.#requests.timeMs = Math.min(timeMs, maxDurationMs);
  }

  #usageMessage() {
    return create(TokenUsageSchema, this.#usage);
  }

  #sameRequests(metrics: SessionMetrics | undefined): boolean {
    const kept = metrics?.requests ?? create(RequestMetricsSchema);
    const { count, errors, timeMs } = this.#requests ?? { count: 0, errors: 0, timeMs: 0 };
    const average =
      count > 0 && timeMs > 0 ? durationFromMs(Math.round(timeMs / count)) : undefined;
    return (
      kept.count === count &&
      kept.errors === errors &&
      millisecondsOf(kept.processingTime) === timeMs &&
      millisecondsOf(kept.averageProcessingTime) === millisecondsOf(average) &&
      kept.errorRate === (count === 0 ? 0 : Math.min(1, errors / count))
    );
  }

  #sameCompactions(metrics: SessionMetrics | undefined): boolean {
    if (!this.#sawCompaction) return metrics?.compactions === undefined;
    const kept = metrics?.compactions ?? create(CompactionMetricsSchema);
    const all = [...this.#compactions.values()];
    const sum = (of: (compaction: Compaction) => number) =>
      all.reduce((total, compaction) => total + of(compaction), 0);
    const before = sum(({ tokensBefore }) => tokensBefore);
    const after = sum(({ tokensAfter }) => tokensAfter);
    const saved = sum(({ savedCost }) => savedCost);
    return (
      kept.count === all.length &&
      kept.tokensBefore === before &&
      kept.tokensAfter === after &&
      kept.ratio === (before === 0 ? 0 : 1 - after / before) &&
      Math.abs(kept.savedCost - saved) <= priceTolerance * Math.max(1, saved)
    );
  }
}

/** Whether the model read the tokens of an event or wrote them; neither for what no window shows. */
function sideOf({ payload, role }: Event): "input" | "output" | undefined {
  switch (payload.case) {
    case "message":
      return role === Role.ASSISTANT ? "output" : "input";
    case "toolResult":
    case "approvalResponse":
      return "input";
    case "thinking":
    case "toolCall":
    case "output":
    case "approvalRequest":
      return "output";
    default:
      return undefined;
  }
}

function millisecondsOf(duration: Duration | undefined): number {
  return duration === undefined ? 0 : durationMs(duration);
}
