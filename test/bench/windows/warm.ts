import { Dialect } from "@sessiond/contract";
import { at } from "../support/load.ts";
import type { Row } from "../support/report.ts";
import { type GetWindow, untilIndexed, windowBytes, windowOf } from "./calls.ts";
import { inTurns, type Latency } from "./latency.ts";
import type { FilledSession } from "./sessions.ts";

/** Calls for windows of one session that take turns. */
export interface Variant {
  readonly what: string;
  readonly session: FilledSession;
  readonly requests: readonly Buffer[];
}

/** Latencies of the variants, and what their windows are. */
export interface WarmRun {
  readonly latencies: readonly Latency[];
  readonly windows: readonly Row[];
}

const dialects = { none: Dialect.UNSPECIFIED, "openai-chat": Dialect.OPENAI_CHAT };

/** Windows without a query, in two dialects. */
export function plainVariants(sessions: readonly FilledSession[]): Variant[] {
  return Object.entries(dialects).flatMap(([what, dialect]) =>
    sessions.map((session) => {
      const { sessionId } = session;
      return { what, session, requests: [windowBytes({ sessionId, dialect })] };
    }),
  );
}

/** Windows for questions about what was said, of sessions that have more than a window. */
export function queryVariants(sessions: readonly FilledSession[]): Variant[] {
  return sessions
    .filter(({ kind, size }) => kind === "never compacted" && size > 100)
    .map((session) => {
      const { sessionId, questions } = session;
      const requests = questions.map((query) => windowBytes({ sessionId, query }));
      return { what: "query", session, requests };
    });
}

/** Measures variants, after some calls that warm up; those of one list take turns. */
export async function warmRun(
  getWindow: GetWindow,
  variants: readonly Variant[],
  rounds: number,
): Promise<WarmRun> {
  const calls = variants.map(
    ({ requests }) =>
      (round: number) =>
        getWindow(at(requests, round)),
  );
  const latencies = await inTurns(calls, { rounds, warmUp: Math.ceil(rounds / 5) });
  const windows: Row[] = [];
  for (const { requests } of variants) {
    const answer = await getWindow(at(requests, 0));
    const { items, tokens } = windowOf(answer);
    windows.push({ items: items.length, tokens: tokens?.total ?? 0, bytes: answer.length });
  }
  return { latencies, windows };
}

/** The same, one variant after the other: indexes of several long sessions do not fit in memory. */
export async function warmRunsApart(
  getWindow: GetWindow,
  variants: readonly Variant[],
  rounds: number,
): Promise<WarmRun> {
  const runs: WarmRun[] = [];
  for (const variant of variants) {
    await untilIndexed(getWindow, at(variant.requests, 0));
    runs.push(await warmRun(getWindow, [variant], rounds));
  }
  return {
    latencies: runs.flatMap(({ latencies }) => latencies),
    windows: runs.flatMap(({ windows }) => windows),
  };
}

/** One row for each variant; ratios are to the first one of the same kind and dialect. */
export function warmRows(
  variants: readonly Variant[],
  { wire, server }: { wire: WarmRun; server: WarmRun },
): Row[] {
  return variants.map(({ what, session: { kind, size } }, index) => {
    const first = variants.findIndex((one) => one.what === what && one.session.kind === kind);
    const ratio = ({ latencies }: WarmRun) =>
      (at(latencies, index).p50Ms / at(latencies, first).p50Ms).toFixed(2);
    return {
      session: kind,
      dialect: what,
      events: size,
      ...wire.windows[index],
      "gRPC p50 ms": at(wire.latencies, index).p50Ms.toFixed(2),
      "p99 ms": at(wire.latencies, index).p99Ms.toFixed(2),
      ratio: ratio(wire),
      "server p50 ms": at(server.latencies, index).p50Ms.toFixed(3),
      "server p99 ms": at(server.latencies, index).p99Ms.toFixed(2),
      "ratio ": ratio(server),
    };
  });
}
