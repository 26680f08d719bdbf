import { create, equals } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Compaction,
  CompactionMetricsSchema,
  type Event,
  RequestMetricsSchema,
  type RequestRecorded,
  Role,
  type SessionMetrics,
  StepMetricsSchema,
  TokenUsageSchema,
  type ToolResult,
} from "@sessiond/contract";
import type { SessionHead } from "@sessiond/contract/store";

/*
 * A second reading of what `metrics.proto` says, on purpose without the code that counts at appends:
 * a mistake there would be repeated here and never be found.
 */

const maxCount = 0xffff_ffff;
const maxTools = 64;
const maxDurationMs = 315_576_000_000_000;
/** Sums of prices that were added and taken away again differ in their last digits. */
const priceTolerance = 1e-6;

/** An event that changes what is protected, compacted or amended, or hides others that did. */
interface Switch {
  readonly revision: number;
  readonly change:
    | { readonly protects: readonly number[] }
    | { readonly unprotects: readonly number[] }
    | { readonly compaction: Compaction }
    | { readonly reverts: number }
    | { readonly amends: number }
    | { readonly rewindTo: number };
}

/** Counts a log from its first event on. */
export class Recount {
  #events = 0;
  #messages = 0;
  #userMessages = 0;
  readonly #types = { thinking: 0, toolCalls: 0, toolResults: 0, outputs: 0, errors: 0 };
  /** Calls without a final result, by revision. */
  readonly #calls = new Map<number, { readonly name: string; readonly timeMs: number }>();
  readonly #tools = new Map<
    string,
    { calls: number; results: number; errors: number; ms: number }
  >();
  #storedBytes = 0;
  #lastTurn = 0;
  #stateRevision = 0;
  #endRevision = 0;
  #usage = { total: 0, input: 0, output: 0, reportedInput: 0, reportedOutput: 0, reportedCost: 0 };
  #requests: { count: number; errors: number; timeMs: number } | undefined;
  /** In the order of the log. */
  readonly #switches: Switch[] = [];

  /** `bytes`: size of the event in its binary form. */
  add(event: Event, bytes: number): void {
    const { payload, revision } = event;
    this.#events += 1;
    this.#storedBytes += bytes;
    this.#lastTurn = event.turn;
    const note = (change: Switch["change"]) => this.#switches.push({ revision, change });
    if (event.protection !== undefined) note({ protects: [revision] });
    switch (payload.case) {
      case "message":
        this.#messages += 1;
        if (event.role === Role.USER) this.#userMessages += 1;
        break;
      case "thinking":
        this.#types.thinking += 1;
        break;
      case "output":
        this.#types.outputs += 1;
        break;
      case "toolResult":
        this.#types.toolResults += 1;
        this.#addResult(event, payload.value);
        break;
      case "toolCall":
        this.#types.toolCalls += 1;
        this.#addCall(event, payload.value.name);
        break;
      case "error":
        this.#types.errors += 1;
        break;
      case "stateChanged":
        this.#stateRevision = revision;
        break;
      case "requestRecorded":
        this.#addRequest(payload.value);
        break;
      case "protectionChanged":
        if (payload.value.reason === "") note({ unprotects: payload.value.revisions });
        else note({ protects: payload.value.revisions });
        break;
      case "compaction":
        note({ compaction: payload.value });
        break;
      case "amendment":
        note({ amends: payload.value.revision });
        break;
      case "compactionReverted":
        note({ reverts: payload.value.revision });
        break;
      case "rewind":
        note({ rewindTo: payload.value.revision });
        break;
      case "sessionEnded":
        this.#endRevision = revision;
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
    const { guarded, compactions, wasCompacted, amendments, hidden } = this.#inForce();
    const note = (list: string[], name: string, kept: unknown, counted: unknown) => {
      if (kept !== counted) list.push(`${name} is ${kept}, the log has ${counted}`);
    };
    const steps = Object.values(this.#types).reduce((sum, count) => sum + count, 0);
    const pairs = {
      events: this.#events,
      messages: this.#messages,
      turns: this.#userMessages,
      steps,
      toolCalls: this.#types.toolCalls,
      errors: this.#types.errors,
      protectedEvents: guarded.size,
      storedBytes: this.#storedBytes,
    } satisfies Partial<SessionMetrics>;
    for (const [name, counted] of Object.entries(pairs)) {
      note(counters, name, metrics?.[name as keyof typeof pairs] ?? 0, counted);
    }
    note(counters, "step", head.step, steps);
    note(counters, "turn", head.turn, this.#lastTurn);
    note(counters, "stateRevision", head.stateRevision, this.#stateRevision);
    note(counters, "endRevision", head.endRevision, this.#endRevision);
    if (
      !equals(TokenUsageSchema, this.#usageMessage(), metrics?.tokens ?? create(TokenUsageSchema))
    ) {
      counters.push("tokens are not the sum of those of the events");
    }
    const types = create(StepMetricsSchema, this.#types);
    if (!equals(StepMetricsSchema, types, metrics?.stepsByType ?? create(StepMetricsSchema))) {
      counters.push("steps by type are not those of the log");
    }
    if (!this.#sameTools(metrics)) counters.push("tools are not those of the log");
    const average = this.#events === 0 ? 0 : this.#usage.total / this.#events;
    note(counters, "averageTokensPerEvent", metrics?.averageTokensPerEvent ?? 0, average);
    if (!this.#sameRequests(metrics)) counters.push("requests are not those of the log");
    if (!sameCompactions(metrics, { compactions, wasCompacted }))
      counters.push("compactions are not those of the log");

    const inForce = Math.max(0, ...compactions.keys());
    note(context, "the compaction in force", state?.compaction?.revision ?? 0, inForce);
    const kept = state?.protected ?? [];
    if (kept.some(({ revision }) => !guarded.has(revision))) {
      context.push("it keeps protected events that the log does not protect");
    }
    note(context, "the number of protected events", kept.length, guarded.size);
    const ranges = (state?.hidden ?? []).map(({ first, last }) => `${first} to ${last}`);
    note(context, "what rewinds hide", ranges.join(", ") || "nothing", hidden || "nothing");
    const amended = state?.amendedCalls ?? [];
    note(context, "the number of amended calls", amended.length, amendments.size);
    if (amended.some((call) => amendments.get(call.revision) !== call.amendmentRevision)) {
      context.push("it keeps amendments that are not the newest of the log");
    }
    return { counters, context };
  }

  /**
   * What is protected; the compactions that were not taken back, by revision; revisions of the newest
   * amendments, by those of their calls; and what rewinds hide.
   */
  #inForce(): {
    guarded: Set<number>;
    compactions: Map<number, Compaction>;
    wasCompacted: boolean;
    amendments: Map<number, number>;
    hidden: string;
  } {
    // Backwards: behind a rewind the log goes on where that leads.
    const visible: Switch[] = [];
    const hidden: string[] = [];
    let until = Number.POSITIVE_INFINITY;
    for (const one of this.#switches.toReversed()) {
      if (one.revision > until) continue;
      if (!("rewindTo" in one.change)) {
        visible.push(one);
        continue;
      }
      until = one.change.rewindTo;
      hidden.unshift(`${until + 1} to ${one.revision - 1}`);
    }
    const guarded = new Set<number>();
    const compactions = new Map<number, Compaction>();
    let wasCompacted = false;
    const amendments = new Map<number, number>();
    for (const { revision, change } of visible.reverse()) {
      if ("protects" in change) for (const one of change.protects) guarded.add(one);
      if ("unprotects" in change) for (const one of change.unprotects) guarded.delete(one);
      if ("reverts" in change) compactions.delete(change.reverts);
      if ("amends" in change) amendments.set(change.amends, revision);
      if (!("compaction" in change)) continue;
      compactions.set(revision, change.compaction);
      wasCompacted = true;
    }
    return { guarded, compactions, wasCompacted, amendments, hidden: hidden.join(", ") };
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

  #addCall({ revision, createTime }: Event, name: string): void {
    const timeMs = createTime === undefined ? 0 : timestampMs(createTime);
    const isFull = [...this.#tools.keys()].filter((key) => key !== "").length >= maxTools;
    const key = this.#tools.has(name) || !isFull ? name : "";
    const tool = this.#tools.get(key) ?? { calls: 0, results: 0, errors: 0, ms: 0 };
    this.#tools.set(key, { ...tool, calls: tool.calls + 1 });
    this.#calls.set(revision, { name: key, timeMs });
  }

  #addResult(event: Event, { isFinal = true, isError }: ToolResult): void {
    const { callRevision, duration, createTime } = event;
    const call = this.#calls.get(callRevision);
    const tool = call && this.#tools.get(call.name);
    if (call === undefined || tool === undefined || !isFinal) return;
    this.#calls.delete(callRevision);
    const passedMs = (createTime ? timestampMs(createTime) : call.timeMs) - call.timeMs;
    tool.results += 1;
    tool.errors += isError ? 1 : 0;
    tool.ms = Math.min(tool.ms + (duration ? durationMs(duration) : passedMs), maxDurationMs);
  }

  #sameTools(metrics: SessionMetrics | undefined): boolean {
    const kept = metrics?.tools ?? [];
    if (kept.length !== this.#tools.size) return false;
    return kept.every(({ name, calls, results, errors, duration, averageDuration }) => {
      const tool = this.#tools.get(name);
      if (tool === undefined) return false;
      const averageMs = tool.ms > 0 ? Math.round(tool.ms / tool.results) : 0;
      return (
        calls === tool.calls &&
        results === tool.results &&
        errors === tool.errors &&
        millisecondsOf(duration) === tool.ms &&
        millisecondsOf(averageDuration) === averageMs
      );
    });
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
}

function sameCompactions(
  metrics: SessionMetrics | undefined,
  log: { compactions: ReadonlyMap<number, Compaction>; wasCompacted: boolean },
): boolean {
  if (!log.wasCompacted) return metrics?.compactions === undefined;
  const kept = metrics?.compactions ?? create(CompactionMetricsSchema);
  const all = [...log.compactions.values()];
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
