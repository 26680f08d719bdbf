import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  AggregateMetricsRequestSchema,
  CreateSessionRequestSchema,
  EndSessionRequestSchema,
  Metric,
  MetricBucket,
  MetricGrouping,
  MetricsService,
  SessionState,
} from "@sessiond/contract";
import { LmdbStore } from "../../src/store/lmdb/lmdb-store.ts";
import { openTestDomain } from "../support/domain.ts";
import { startServer } from "../support/server-process.ts";
import { median, quantile } from "./support/load.ts";
import { uncountedEvent } from "./support/messages.ts";
import { cpuMs } from "./support/process-stats.ts";
import { pathOf, RawClient } from "./support/raw-client.ts";
import type { Bench } from "./support/report.ts";
import { tempFolder } from "./support/temp-folder.ts";

const path = pathOf(MetricsService.method.aggregateMetrics);
const sessions = 100_000;
const days = 30;
const agents = 50;
const users = 5_000;
const inFlight = 64;
const repeats = 60;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

type Request = MessageInitShape<typeof AggregateMetricsRequestSchema>;

const week = durationFromMs(7 * dayMs);
const month = durationFromMs(days * dayMs);
const usual = [Metric.SESSIONS_TOTAL, Metric.SUCCESS_RATE, Metric.AVG_DURATION] as const;
const quantiles = [Metric.P50_DURATION, Metric.P95_DURATION, Metric.P99_DURATION] as const;
const byAgent = { groupBy: MetricGrouping.AGENT };
const byUser = { groupBy: MetricGrouping.USER };

/** What is asked most, by how it is asked. */
const queries: Readonly<Record<string, Request>> = {
  "one agent, 7 days": { agentId: "agent 7", period: week, metrics: [...usual] },
  "one agent, 7 days, quantiles": { agentId: "agent 7", period: week, metrics: [...quantiles] },
  "all, 7 days, by the hour": { period: week, bucket: MetricBucket.HOUR },
  "by agent, 24 hours, by the hour": {
    ...{ ...byAgent, period: durationFromMs(dayMs), bucket: MetricBucket.HOUR },
  },
  "by agent, 7 days": { ...byAgent, period: week },
  "by agent, 7 days, by the day": { ...byAgent, period: week, bucket: MetricBucket.DAY },
  "by agent, 7 days, quantiles": { ...byAgent, period: week, metrics: [...quantiles] },
  "by agent, 30 days": { ...byAgent, period: month },
  "one user, 30 days": { userId: "user 77", period: month },
  "by user, 24 hours, first 100": { ...byUser, period: durationFromMs(dayMs) },
  "by user, 7 days, first 100": { ...byUser, period: week },
  "by model, 24 hours, from the sessions": {
    ...{ groupBy: MetricGrouping.MODEL, period: durationFromMs(dayMs) },
  },
};

/**
 * Aggregates over many sessions, asked over a connection: the first time after a start, and again, in turns
 * with one over a namespace without sessions. CPU is that of all threads of the server.
 *
 * The sessions are spread over the days evenly, each of an agent and a user, with three events, most of
 * them ended. The file is in the page cache of the system. Server and caller share the machine's cores;
 * nobody else uses the server.
 */
export const aggregatesBench: Bench = async (report) => {
  await using data = await tempFolder();
  await fillFolder(data.path);
  const rows = [];
  for (const [what, request] of Object.entries(queries)) {
    await using server = await startServer({ data: data.path });
    using client = new RawClient(server.address);
    const ask = async (request: Request) => {
      const message = create(AggregateMetricsRequestSchema, request);
      const bytes = Buffer.from(toBinary(AggregateMetricsRequestSchema, message));
      const beforeMs = cpuMs(server.pid);
      const startMs = performance.now();
      const { length } = await client.call(path, bytes);
      const ms = performance.now() - startMs;
      return { ms, cpu: cpuMs(server.pid) - beforeMs, length };
    };
    // What a call takes by itself on this machine now, and before it is warm.
    const nothing = { namespace: "empty", period: durationFromMs(hourMs) };
    await ask(nothing);
    const first = await ask(request);
    const again: number[] = [];
    const empty: number[] = [];
    let cpu = 0;
    for (let n = 0; n < repeats; n++) {
      empty.push((await ask(nothing)).ms);
      const answer = await ask(request);
      again.push(answer.ms);
      cpu += answer.cpu;
    }
    rows.push({
      what,
      "first ms": first.ms.toFixed(1),
      "p50 ms": median(again).toFixed(1),
      "p99 ms": quantile(again, 0.99).toFixed(1),
      "CPU ms": (cpu / repeats).toFixed(1),
      "p50 ms of nothing": median(empty).toFixed(1),
      KiB: (first.length / 1_024).toFixed(1),
    });
  }
  const what = `${sessions} sessions over ${days} days, ${agents} agents, ${users} users`;
  report.table(`aggregates, ${what}`, rows);
};

/** Makes the sessions as they would have come, with the clock of their time. */
async function fillFolder(path: string): Promise<void> {
  await using domain = await openTestDomain({ store: await LmdbStore.open({ path }) });
  const nowMs = Date.now();
  const stepMs = (days * dayMs) / sessions;
  let next = 0;
  const filler = async () => {
    for (let index = next++; index < sessions; index = next++) {
      const startMs = nowMs - days * dayMs + index * stepMs;
      domain.now = Math.max(domain.now, startMs);
      const sessionId = `session ${index}`;
      const session = {
        ...{ sessionId, model: `model ${index % 3}` },
        ...{ agentId: `agent ${index % agents}`, userId: `user ${(index * 7_919) % users}` },
      };
      await domain.sessions.create(create(CreateSessionRequestSchema, { session }));
      await domain.append({ sessionId, events: [uncountedEvent(), uncountedEvent()] });
      if (index % 10 === 9) continue;
      const state = index % 10 === 0 ? SessionState.FAILED : SessionState.COMPLETED;
      await domain.sessions.end(create(EndSessionRequestSchema, { sessionId, state }));
    }
  };
  domain.now = nowMs - days * dayMs;
  await Promise.all(Array.from({ length: inFlight }, filler));
}
