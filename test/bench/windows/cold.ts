import { type ServerProcessOptions, startServer } from "../../support/server-process.ts";
import { at, median } from "../support/load.ts";
import { RawClient } from "../support/raw-client.ts";
import type { Row } from "../support/report.ts";
import { tokenizerLoaded, untilIndexed, windowBytes, windowOf, windowPath } from "./calls.ts";
import type { FilledSession } from "./sessions.ts";

const starts = 5;
const healthPath = "/grpc.health.v1.Health/Check";

interface ColdTimes {
  /** First window since the server was started. */
  readonly firstMs: number[];
  /** The same, asked for while the tokenizer was being loaded. */
  readonly earlyMs: number[];
  /** First window of its session, when the server had made some of others. */
  readonly laterMs: number[];
}

/**
 * First windows after a restart, over a connection that is open: each session's in turn is the
 * first of all, and once so early that the tokenizer is not there.
 */
export async function coldRows(
  options: ServerProcessOptions,
  sessions: readonly FilledSession[],
): Promise<Row[]> {
  const times = sessions.map((): ColdTimes => ({ firstMs: [], earlyMs: [], laterMs: [] }));
  for (let start = 0; start < starts; start++) {
    for (const first of sessions.keys()) {
      await using server = await startServer(options);
      using client = new RawClient(server.address);
      await client.call(healthPath, Buffer.alloc(0));
      const isEarly = start % 2 === 1;
      if (!isEarly) await tokenizerLoaded(client);
      for (let place = 0; place < sessions.length; place++) {
        const index = (first + place) % sessions.length;
        const { firstMs, earlyMs, laterMs } = at(times, index);
        const { ms } = await timed(
          client,
          windowBytes({ sessionId: at(sessions, index).sessionId }),
        );
        if (place > 0) laterMs.push(ms);
        else (isEarly ? earlyMs : firstMs).push(ms);
      }
    }
  }
  return sessions.map(({ kind, size }, index) => {
    const { firstMs, earlyMs, laterMs } = at(times, index);
    return {
      session: kind,
      events: size,
      "first ms": median(firstMs).toFixed(1),
      slowest: Math.max(...firstMs).toFixed(1),
      "without tokenizer ms": median(earlyMs).toFixed(1),
      "first of its session ms": median(laterMs).toFixed(1),
      "slowest ": Math.max(...laterMs).toFixed(1),
    };
  });
}

/** First query after a restart, and how long it is until the index is made. */
export async function coldQueryRows(
  options: ServerProcessOptions,
  sessions: readonly FilledSession[],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { kind, size, sessionId, questions } of sessions) {
    if (kind !== "never compacted" || size <= 100) continue;
    const firstMs: number[] = [];
    const wholeMs: number[] = [];
    let partial = false;
    for (let start = 0; start < starts; start++) {
      await using server = await startServer(options);
      using client = new RawClient(server.address);
      await tokenizerLoaded(client);
      const request = windowBytes({ sessionId, query: at(questions, start) });
      const startMs = performance.now();
      const first = await timed(client, request);
      firstMs.push(first.ms);
      partial ||= first.partial;
      if (first.partial) await untilIndexed((bytes) => client.call(windowPath, bytes), request);
      wholeMs.push(performance.now() - startMs);
    }
    rows.push({
      events: size,
      "first query ms": median(firstMs).toFixed(1),
      slowest: Math.max(...firstMs).toFixed(1),
      partial: partial ? "yes" : "no",
      "index made after ms": median(wholeMs).toFixed(0),
    });
  }
  return rows;
}

async function timed(
  client: RawClient,
  request: Buffer,
): Promise<{ ms: number; partial: boolean }> {
  const startMs = performance.now();
  const answer = await client.call(windowPath, request);
  const ms = performance.now() - startMs;
  return { ms, partial: windowOf(answer).indexPartial };
}
