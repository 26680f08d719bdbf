import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Session, type SessionMetrics, SessionState } from "@sessiond/contract";
import type { Clock } from "../../ids.ts";
import { limits } from "../../limits.ts";
import { type Counter, count, newCounters } from "../../store/rollup-counters.ts";
import type { SessionIndex, SessionPosition, Store } from "../../store/store.ts";
import type { SessionCells } from "../session-cells.ts";
import { walk, walkChunk } from "../session-walk.ts";
import type { Turns } from "../turns.ts";
import { metricsView } from "../views.ts";
import { hourMs } from "./log-facts.ts";
import type { Sums } from "./metric-values.ts";
import type { Period } from "./period.ts";

/** What to look at, newest first, and who takes the numbers of each session. */
export interface SessionScan {
  readonly store: Store;
  readonly cells: SessionCells;
  readonly clock: Clock;
  readonly turns: Turns;
  readonly namespace: string;
  readonly index: SessionIndex;
  readonly period: Period;
  readonly maxSessions: number;
  readonly take: (session: Session, hour: number, add: (sums: Sums) => void) => void;
}

/** Looks at the sessions that were created in a period. `partial`: there are more of them. */
export async function scanSessions(
  scan: SessionScan,
): Promise<{ readonly scanned: number; readonly partial: boolean }> {
  const { store, cells, clock, turns, namespace, index, period, take } = scan;
  const maxSessions = scan.maxSessions || limits.defaultMetricSessions;
  let scanned = 0;
  let partial = false;
  // In front of all that were created in the hour behind the period.
  let after: SessionPosition | undefined = { createTimeMs: period.endHour * hourMs, sessionId: "" };
  while (after !== undefined) {
    const query = {
      namespace,
      index,
      reverse: true,
      limit: walkChunk,
      after,
      onLeftOut: () => {
        partial = true;
      },
    };
    const found = await walk({ store, cells, query, nowMs: clock() });
    after = found.length < walkChunk ? undefined : found.at(-1)?.position;
    for (const { position, current } of found) {
      await turns.yield();
      const hour = Math.floor(position.createTimeMs / hourMs);
      if (hour < period.firstHour) return { scanned, partial };
      if (current === undefined) continue;
      if (scanned >= maxSessions || turns.isSpent) return { scanned, partial: true };
      scanned += 1;
      take(current.session, hour, adderOf(current.session, metricsView(current)));
    }
  }
  return { scanned, partial };
}

const ends: Partial<Record<SessionState, Counter>> = {
  [SessionState.ACTIVE]: "active",
  [SessionState.COMPLETED]: "completed",
  [SessionState.FAILED]: "failed",
  [SessionState.CANCELLED]: "cancelled",
  [SessionState.TIMED_OUT]: "timedOut",
  [SessionState.LIMIT_REACHED]: "limitReached",
  [SessionState.EXPIRED]: "expired",
};

/** What a session counts by now. */
function adderOf(session: Session, metrics: SessionMetrics): (sums: Sums) => void {
  const counters = newCounters();
  const add = (name: Counter, by: number | undefined) => count(counters, name, by ?? 0);
  const { tokens, requests, compactions, tools, duration } = metrics;
  const state = ends[session.state];
  add("sessions", 1);
  if (state !== undefined) add(state, 1);
  const hasEnded = state !== undefined && state !== "active";
  const us = hasEnded && duration ? durationMs(duration) * 1_000 : undefined;
  add("sessionUs", us);
  add("events", metrics.events);
  add("bytes", metrics.storedBytes);
  add("messages", metrics.messages);
  add("turns", metrics.turns);
  add("steps", metrics.steps);
  add("errors", metrics.errors);
  add("tokens", tokens?.total);
  add("inputTokens", tokens?.input);
  add("outputTokens", tokens?.output);
  add("reportedInputTokens", tokens?.reportedInput);
  add("reportedOutputTokens", tokens?.reportedOutput);
  add("cost", tokens?.reportedCost);
  add("toolCalls", metrics.toolCalls);
  for (const tool of tools) {
    add("toolResults", tool.results);
    add("toolErrors", tool.errors);
    add("toolUs", tool.duration && durationMs(tool.duration) * 1_000);
  }
  add("requests", requests?.count);
  add("requestErrors", requests?.errors);
  add("requestUs", requests?.processingTime && durationMs(requests.processingTime) * 1_000);
  add("compactions", compactions?.count);
  add("tokensBeforeCompaction", compactions?.tokensBefore);
  add("tokensAfterCompaction", compactions?.tokensAfter);
  add("savedCost", compactions?.savedCost);
  return (sums) => {
    sums.add(counters);
    if (us !== undefined) sums.histogram("sessions").add(us);
  };
}
