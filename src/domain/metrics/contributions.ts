import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Session, SessionParentKind, SessionState } from "@sessiond/contract";
import type { Change, HourFacts, RollupChange, RollupSeries } from "../../store/store.ts";
import { LogFacts } from "./log-facts.ts";

/** What of a change decides about what it contributes. */
type Counted = Pick<Change, "before" | "after" | "events" | "deleteTimeMs">;

/** Says what changes add to the aggregates, by agent, user and some labels. */
export class Contributions {
  readonly #labels: readonly string[];
  /** Sessions keep their object as long as they do not change: an append makes no list. */
  readonly #series = new WeakMap<Session, readonly RollupSeries[]>();

  /** `labels`: keys of the labels by whose values sessions are counted. */
  constructor(labels: readonly string[] = []) {
    this.#labels = labels;
  }

  /**
   * What a change of a session contributes: each event to the hour it happened in, under the agent, the
   * user and the labels that the session had until then. Undefined: nothing. Pure.
   */
  of({ before, after, events, deleteTimeMs }: Counted): RollupChange | undefined {
    const session = before?.session ?? after?.session;
    if (session === undefined) return undefined;
    const isNew = before === undefined;
    const isUnmoved = before?.session === after?.session;
    if (isUnmoved && events.length === 0) return undefined;
    const active = isUnmoved ? [] : this.#moves(before?.session, after?.session);
    const hasFacts = isNew || events.length > 0 || deleteTimeMs !== undefined;
    if (!hasFacts && active.length === 0) return undefined;
    const facts = new LogFacts({
      startTime: session.startTime,
      openCalls: before?.head.context?.openCalls ?? [],
    });
    if (isNew) countCreation(facts, session);
    if (deleteTimeMs !== undefined) facts.count("deleted", deleteTimeMs);
    for (const event of events) facts.add(event);
    return { series: this.#of(session), facts: facts.hours, active };
  }

  /** What a session contributes whose log was read as a whole, by `hours`. */
  whole(session: Session, hours: readonly HourFacts[]): RollupChange {
    return { series: this.#of(session), facts: hours, active: this.#moves(undefined, session) };
  }

  #moves(before: Session | undefined, after: Session | undefined): RollupChange["active"] {
    const from = before?.state === SessionState.ACTIVE ? this.#of(before) : [];
    const to = after?.state === SessionState.ACTIVE ? this.#of(after) : [];
    return [
      ...from.filter((one) => !has(to, one)).map((series) => ({ series, by: -1 }) as const),
      ...to.filter((one) => !has(from, one)).map((series) => ({ series, by: 1 }) as const),
    ];
  }

  #of(session: Session): readonly RollupSeries[] {
    let series = this.#series.get(session);
    if (series === undefined) {
      series = this.#seriesOf(session);
      this.#series.set(session, series);
    }
    return series;
  }

  #seriesOf({ namespace, agentId, userId, labels }: Session): RollupSeries[] {
    const none = { namespace, label: "", value: "" } as const;
    const series: RollupSeries[] = [{ ...none, dimension: "all" }];
    if (agentId !== "") series.push({ ...none, dimension: "agent", value: agentId });
    if (userId !== "") series.push({ ...none, dimension: "user", value: userId });
    for (const label of this.#labels) {
      const value = Object.hasOwn(labels, label) ? labels[label] : undefined;
      if (value !== undefined) series.push({ namespace, dimension: "label", label, value });
    }
    return series;
  }
}

/** A session counts in the hour of its creation. */
export function countCreation(facts: LogFacts, { createTime }: Session): void {
  facts.count("sessions", createTime === undefined ? 0 : timestampMs(createTime));
}

/** Revision of the first event that is the session's own and not one it was forked with. */
export function firstOwnRevision({ parent }: Session): number {
  const shares = parent?.kind === SessionParentKind.FORK && parent.uid !== "";
  return shares ? parent.revision + 1 : 1;
}

function has(series: readonly RollupSeries[], { dimension, label, value }: RollupSeries): boolean {
  return series.some(
    (other) => other.dimension === dimension && other.label === label && other.value === value,
  );
}
