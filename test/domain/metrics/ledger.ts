import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { type Event, Metric, Role, type Session, SessionState } from "@sessiond/contract";
import type { Committed, Store } from "../../../src/store/store.ts";

/** What happened in one hour to the sessions of a group, counted by hand. */
interface Hour {
  readonly counts: Map<string, number>;
  readonly sessionMs: number[];
  readonly toolMs: number[];
}

/** A group of sessions: `agent=planner`, or all of them. */
type GroupName = string;

const ended: readonly SessionState[] = [
  SessionState.COMPLETED,
  SessionState.FAILED,
  SessionState.CANCELLED,
  SessionState.TIMED_OUT,
  SessionState.LIMIT_REACHED,
  SessionState.EXPIRED,
];
const input = ["message", "toolResult", "approvalResponse"];
const output = ["thinking", "toolCall", "approvalRequest", "output"];
const steps = ["thinking", "toolCall", "toolResult", "output", "error"];

/**
 * A second account of what sessions do, from the commits of a store: every event once, in the hour of its
 * time, under what its session was called before that commit. It outlives sessions that are deleted, and
 * shares no code with what counts in the server.
 */
export class Ledger {
  readonly #groups = new Map<GroupName, Map<number, Hour>>();
  readonly #active = new Map<GroupName, number>();
  readonly #labels: readonly string[];
  readonly #attached = new WeakSet<Store>();
  #imports: { readonly session: Session; readonly last: number }[] = [];
  /** Time of each tool call, by uid and revision. */
  readonly #calls = new Map<string, number>();
  readonly #starts = new Map<string, number>();

  constructor(labels: readonly string[] = []) {
    this.#labels = labels;
  }

  /** Reads along from now on. */
  attach(store: Store): void {
    if (this.#attached.has(store)) return;
    this.#attached.add(store);
    store.onCommit((committed) => this.#note(committed));
  }

  /** Reads what came in pieces that no commit shows. */
  async settle(store: Store): Promise<void> {
    for (const { session, last } of this.#imports.splice(0)) {
      const events = await store.readEvents({
        ...{ uid: session.uid, first: 1, last, maxEvents: 1e6, maxBytes: 1e9 },
      });
      if (events.length !== last) throw new Error("the import is gone before it was read");
      for (const event of events) this.#event(session, event);
    }
  }

  /** Takes a session as it is stored, with the events that are its own. */
  take(session: Session, events: readonly Event[]): void {
    this.#add(session, milliseconds(session.createTime), "sessions");
    if (session.state === SessionState.ACTIVE) this.#move(session, 1);
    for (const event of events) this.#event(session, event);
  }

  groups(): GroupName[] {
    return [...this.#groups.keys()];
  }

  hours(): number[] {
    return [...this.#groups.values()].flatMap((hours) => [...hours.keys()]);
  }

  /** Forgets what was counted of a user by name. */
  forgetUser(userId: string): void {
    this.#groups.delete(`user=${userId}`);
  }

  /** What a metric of a group has to be, from hour to hour. */
  expected(group: GroupName, metric: Metric, first: number, end: number): number | undefined {
    if (metric === Metric.SESSIONS_ACTIVE) return this.#active.get(group) ?? 0;
    const hours = [...(this.#groups.get(group) ?? [])].filter(([at]) => at >= first && at < end);
    const all = hours.map(([, hour]) => hour);
    return accountOf(metric, {
      count: (name) => all.reduce((sum, { counts }) => sum + (counts.get(name) ?? 0), 0),
      sessionMs: all.flatMap(({ sessionMs }) => sessionMs).sort((a, b) => a - b),
      toolMs: all.flatMap(({ toolMs }) => toolMs).sort((a, b) => a - b),
    });
  }

  #note({ change }: Committed): void {
    const { before, after, events, staged, deleteTimeMs } = change;
    const session = before?.session ?? after?.session;
    if (session === undefined) return;
    if (before === undefined && after !== undefined) {
      this.#add(after.session, milliseconds(after.session.createTime), "sessions");
    }
    for (const [side, sign] of [
      [before, -1],
      [after, 1],
    ] as const) {
      if (side?.session.state === SessionState.ACTIVE) this.#move(side.session, sign);
    }
    if (staged !== undefined && after !== undefined) {
      this.#imports.push({ session: after.session, last: staged.at(-1) ?? 0 });
    }
    for (const { revision, callTime } of before?.head.context?.openCalls ?? []) {
      this.#calls.set(`${session.uid} ${revision}`, milliseconds(callTime));
    }
    const inherited = after?.head.context?.openCalls ?? [];
    for (const { revision, callTime } of inherited) {
      this.#calls.set(`${session.uid} ${revision}`, milliseconds(callTime));
    }
    for (const event of events) this.#event(session, event);
    if (deleteTimeMs !== undefined) this.#add(session, deleteTimeMs, "deleted");
  }

  #move(session: Session, by: 1 | -1): void {
    for (const group of this.#groupsOf(session)) {
      this.#active.set(group, (this.#active.get(group) ?? 0) + by);
    }
  }

  #event(session: Session, event: Event): void {
    const { payload, usage, createTime, revision, callRevision, duration } = event;
    const at = milliseconds(createTime);
    const { uid } = session;
    const add = (name: string, by = 1) => this.#add(session, at, name, by);
    const kind = payload.case ?? "";
    add("events");
    if (steps.includes(kind)) add("steps");
    const tokens = event.tokens?.count ?? 0;
    add("tokens", tokens);
    const isOutput = kind === "message" ? event.role === Role.ASSISTANT : output.includes(kind);
    if (isOutput) add("output", tokens);
    else if (input.includes(kind)) add("input", tokens);
    if (usage !== undefined) {
      add("reportedInput", usage.inputTokens);
      add("reportedOutput", usage.outputTokens);
      add("cost", usage.cost);
    }
    if (kind === "message") add("messages");
    if (kind === "message" && event.role === Role.USER) add("turns");
    if (kind === "error") add("errors");
    if (payload.case === "sessionStarted" || payload.case === "forked") this.#starts.set(uid, at);
    if (payload.case === "toolCall") {
      add("toolCalls");
      this.#calls.set(`${uid} ${revision}`, at);
    }
    if (payload.case === "toolResult" && callRevision !== 0 && payload.value.isFinal !== false) {
      const begun = this.#calls.get(`${uid} ${callRevision}`) ?? at;
      const ms = duration ? spanMs(duration) : at - begun;
      add("toolResults");
      if (payload.value.isError) add("toolErrors");
      for (const hour of this.#hoursOf(session, at)) hour.toolMs.push(ms);
    }
    if (payload.case === "requestRecorded") {
      const { count, error, processingTime } = payload.value;
      if (count !== false) add("requests");
      if (error !== undefined) add("requestErrors");
      if (processingTime !== undefined) add("requestMs", spanMs(processingTime));
    }
    if (payload.case === "compaction") {
      add("compactions");
      add("before", payload.value.tokensBefore);
      add("after", payload.value.tokensAfter);
      add("savedCost", payload.value.savedCost);
    }
    if (payload.case === "sessionReopened") add("reopened");
    if (payload.case === "sessionEnded") {
      add(`ended ${payload.value.state}`);
      const start = this.#starts.get(uid) ?? milliseconds(session.startTime);
      for (const hour of this.#hoursOf(session, at)) hour.sessionMs.push(at - start);
    }
  }

  #add(session: Session, atMs: number, name: string, by = 1): void {
    for (const { counts } of this.#hoursOf(session, atMs)) {
      counts.set(name, (counts.get(name) ?? 0) + by);
    }
  }

  #hoursOf(session: Session, atMs: number): Hour[] {
    const at = Math.floor(atMs / 3_600_000);
    return this.#groupsOf(session).map((group) => {
      const hours = this.#groups.get(group) ?? new Map<number, Hour>();
      this.#groups.set(group, hours);
      const hour = hours.get(at) ?? { counts: new Map(), sessionMs: [], toolMs: [] };
      hours.set(at, hour);
      return hour;
    });
  }

  #groupsOf({ agentId, userId, labels }: Session): GroupName[] {
    return [
      "all",
      ...(agentId === "" ? [] : [`agent=${agentId}`]),
      ...(userId === "" ? [] : [`user=${userId}`]),
      ...this.#labels.flatMap((key) => {
        return labels[key] === undefined ? [] : [`label ${key}=${labels[key]}`];
      }),
    ];
  }
}

interface Account {
  count(name: string): number;
  readonly sessionMs: readonly number[];
  readonly toolMs: readonly number[];
}

function accountOf(metric: Metric, { count, sessionMs, toolMs }: Account): number | undefined {
  const ends = (...states: readonly SessionState[]) =>
    states.reduce((sum, state) => sum + count(`ended ${state}`), 0);
  const names: Partial<Record<Metric, string>> = {
    ...{ [Metric.SESSIONS_TOTAL]: "sessions", [Metric.SESSIONS_REOPENED]: "reopened" },
    ...{ [Metric.SESSIONS_DELETED]: "deleted", [Metric.STEPS]: "steps", [Metric.EVENTS]: "events" },
    ...{ [Metric.TOOL_CALLS]: "toolCalls", [Metric.TOOL_ERRORS]: "toolErrors" },
    ...{ [Metric.MESSAGES]: "messages", [Metric.TURNS]: "turns", [Metric.ERRORS]: "errors" },
    ...{ [Metric.TOKENS_TOTAL]: "tokens", [Metric.TOKENS_INPUT]: "input" },
    ...{ [Metric.TOKENS_OUTPUT]: "output", [Metric.REPORTED_TOKENS_INPUT]: "reportedInput" },
    ...{ [Metric.REPORTED_TOKENS_OUTPUT]: "reportedOutput", [Metric.COST]: "cost" },
    ...{ [Metric.SAVED_COST]: "savedCost", [Metric.COMPACTIONS]: "compactions" },
    ...{ [Metric.REQUESTS]: "requests", [Metric.REQUEST_ERRORS]: "requestErrors" },
  };
  const name = names[metric];
  if (name !== undefined) return count(name);
  switch (metric) {
    case Metric.SESSIONS_ENDED:
      return ends(...ended);
    case Metric.SESSIONS_COMPLETED:
      return ends(SessionState.COMPLETED);
    case Metric.SESSIONS_FAILED:
      return ends(SessionState.FAILED);
    case Metric.SESSIONS_CANCELLED:
      return ends(SessionState.CANCELLED);
    case Metric.SESSIONS_TIMED_OUT:
      return ends(SessionState.TIMED_OUT);
    case Metric.SESSIONS_LIMIT_REACHED:
      return ends(SessionState.LIMIT_REACHED);
    case Metric.SESSIONS_EXPIRED:
      return ends(SessionState.EXPIRED);
    case Metric.SUCCESS_RATE:
      return percent(ends(SessionState.COMPLETED), ends(...ended));
    case Metric.AVG_DURATION:
      return mean(sessionMs);
    case Metric.P50_DURATION:
      return at(sessionMs, 0.5);
    case Metric.P95_DURATION:
      return at(sessionMs, 0.95);
    case Metric.P99_DURATION:
      return at(sessionMs, 0.99);
    case Metric.AVG_TOOL_DURATION:
      return mean(toolMs);
    case Metric.P50_TOOL_DURATION:
      return at(toolMs, 0.5);
    case Metric.P95_TOOL_DURATION:
      return at(toolMs, 0.95);
    case Metric.P99_TOOL_DURATION:
      return at(toolMs, 0.99);
    case Metric.COMPACTION_RATIO:
      return count("before") === 0 ? undefined : 1 - count("after") / count("before");
    case Metric.AVG_REQUEST_DURATION:
      return count("requests") === 0 ? undefined : count("requestMs") / count("requests");
    default:
      throw new RangeError(`no account of metric ${metric}`);
  }
}

function percent(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : (100 * part) / whole;
}

function mean(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function at(sorted: readonly number[], q: number): number | undefined {
  return sorted[Math.floor(q * (sorted.length - 1))];
}

function milliseconds(time: Timestamp | undefined): number {
  return time === undefined ? 0 : Number(time.seconds) * 1_000 + time.nanos / 1e6;
}

function spanMs({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1_000 + nanos / 1e6;
}
