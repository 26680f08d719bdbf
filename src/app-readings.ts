import { statfs } from "node:fs/promises";
import { SessionState } from "@sessiond/contract";
import type { CacheStats, Caches } from "./domain/cache-stats.ts";
import type { ConsumerLags } from "./domain/metrics/consumer-lags.ts";
import type { SessionTally } from "./domain/metrics/session-tally.ts";
import type { Consumers } from "./domain/stream/consumers.ts";
import type { Watches } from "./domain/stream/watches.ts";
import type { SinkStats } from "./sinks/runner.ts";
import type { Sinks } from "./sinks/sinks.ts";
import type { Store, StoreSize } from "./store/store.ts";
import { type Family, only, reading, type Sample } from "./telemetry/family.ts";
import { version } from "./version.ts";

/** The parts of a server that numbers are read from. */
export interface Readable {
  readonly store: Store;
  /** Where a store with a file has it. */
  readonly dataFolder: string;
  readonly caches: Caches;
  readonly watches: Watches;
  readonly consumers: Pick<Consumers, "stats">;
  readonly consumerLags: Pick<ConsumerLags, "latest">;
  readonly tally: SessionTally;
  readonly running: () => Readonly<Record<"unary" | "stream", number>>;
  readonly sinks: Pick<Sinks, "stats">;
}

/** Numbers that the parts of a server keep anyway. */
export function readings(parts: Readable): Family[] {
  const { store, running } = parts;
  const { engine } = store.capabilities;
  return [
    reading("gauge", "sessiond_info", "What runs.", () => [
      { labels: { version, engine }, value: 1 },
    ]),
    reading("gauge", "sessiond_calls_running", "Calls under way.", () =>
      Object.entries(running()).map(([kind, value]) => ({ labels: { kind }, value })),
    ),
    reading(
      "gauge",
      "sessiond_store_writes_refused",
      "1 while writes are refused, because the disk is nearly full or cannot be written.",
      () => only(store.writesRefused() === undefined ? 0 : 1),
    ),
    reading(
      "gauge",
      "sessiond_commit_oldest_seconds",
      "How long the oldest commit under way has waited for the disk.",
      () => only(store.oldestCommitMs() / 1_000),
    ),
    ofSessions(parts),
    ...ofWatches(parts),
    ...ofConsumers(parts),
    ...ofSinks(parts),
    ...ofCaches(parts),
    // Of a store in memory everything would have to be looked at.
    ...(engine === "lmdb" ? ofFile(parts) : []),
  ];
}

function ofSessions({ tally }: Readable): Family {
  const states = Object.values(SessionState)
    .filter((state) => typeof state === "number")
    .filter((state) => state !== SessionState.UNSPECIFIED);
  return reading(
    "gauge",
    "sessiond_sessions",
    "Sessions by state; absent until they were counted after the start.",
    () => {
      const { counts } = tally;
      if (counts === undefined) return [];
      return states.map((state) => ({
        labels: { state: SessionState[state].toLowerCase() },
        value: counts.get(state) ?? 0,
      }));
    },
  );
}

function ofWatches({ watches }: Readable): Family[] {
  const each = (name: string, help: string, of: keyof ReturnType<Watches["stats"]>) =>
    reading("gauge", name, help, () =>
      (["session", "namespace"] as const).map((watched) => ({
        labels: { of: watched },
        value: watches.stats(watched)[of],
      })),
    );
  return [
    each("sessiond_watches", "Open watches of sessions and of namespaces.", "open"),
    each("sessiond_watches_behind", "Watches that were not given all there is.", "behind"),
    each(
      "sessiond_watch_lag_max",
      "What the slowest watch was not given: events of its session, commits of its namespace.",
      "maxLag",
    ),
  ];
}

/** Names of sinks are from the configuration, so there are few. */
function ofSinks({ sinks }: Readable): Family[] {
  const each = (
    type: "counter" | "gauge",
    name: string,
    help: string,
    of: (stats: SinkStats) => number,
  ) =>
    reading(type, name, help, () =>
      Array.from(sinks.stats(), ([sink, stats]) => ({ labels: { sink }, value: of(stats) })),
    );
  return [
    each(
      "counter",
      "sessiond_sink_events_total",
      "Events that receivers of sinks have.",
      ({ events }) => events,
    ),
    each(
      "counter",
      "sessiond_sink_failures_total",
      "Deliveries that failed and were tried again.",
      ({ failures }) => failures,
    ),
    each(
      "counter",
      "sessiond_sink_refused_events_total",
      "Events that a receiver will never take; they are in the sink's dead-letter file.",
      ({ refused }) => refused,
    ),
    each(
      "counter",
      "sessiond_sink_missed_events_total",
      "Events of sessions that were deleted before a sink came to them, at least; before its filter.",
      ({ missed }) => missed,
    ),
    each(
      "gauge",
      "sessiond_sink_failing",
      "1 while the last delivery of a sink has failed, or the sink has ended.",
      ({ isFailing }) => (isFailing ? 1 : 0),
    ),
    each(
      "gauge",
      "sessiond_sink_lag_commits",
      "Commits that a sink has not delivered.",
      ({ lag }) => lag,
    ),
    each(
      "gauge",
      "sessiond_sink_lag_seconds",
      "Age of the oldest event that a sink is delivering.",
      ({ ageSeconds }) => ageSeconds,
    ),
  ];
}

function ofConsumers({ consumers, consumerLags }: Readable): Family[] {
  return [
    reading(
      "gauge",
      "sessiond_consumers_read",
      "Consumers that somebody reads now, sinks too.",
      () => only(consumers.stats().read),
    ),
    reading(
      "gauge",
      "sessiond_consumers",
      "Consumers, sinks aside; absent until they were looked at.",
      () => optional(consumerLags.latest?.count),
    ),
    reading(
      "gauge",
      "sessiond_consumer_lag_max",
      "What the consumer furthest behind has not read: events of its session, commits of its namespace.",
      () => optional(consumerLags.latest?.maxLag),
    ),
  ];
}

function optional(value: number | undefined): Sample[] {
  return value === undefined ? [] : only(value);
}

function ofCaches({ caches }: Readable): Family[] {
  const each = (type: Family["type"], name: string, help: string, of: keyof CacheStats) =>
    reading(type === "counter" ? "counter" : "gauge", name, help, () =>
      Object.entries(caches).flatMap(([cache, { stats }]): Sample[] => {
        const { [of]: value } = stats;
        return value === undefined ? [] : [{ labels: { cache }, value }];
      }),
    );
  return [
    each("counter", "sessiond_cache_hits_total", "Look-ups that a cache answered.", "hits"),
    each("counter", "sessiond_cache_misses_total", "Look-ups that it could not answer.", "misses"),
    each("gauge", "sessiond_cache_entries", "What a cache holds.", "entries"),
    each("gauge", "sessiond_cache_bytes", "Memory that takes, as estimated.", "bytes"),
    each("gauge", "sessiond_cache_limit_bytes", "Most it may take.", "limitBytes"),
  ];
}

function ofFile({ store, dataFolder }: Readable): Family[] {
  const each = (name: string, help: string, of: Exclude<keyof StoreSize, "tables">) =>
    reading("gauge", name, help, async () => only((await store.size())[of]));
  const tables = (name: string, help: string, of: "entries" | "bytes") =>
    reading("gauge", name, help, async () =>
      (await store.size()).tables.map(({ name: table, [of]: value }) => ({
        labels: { table },
        value,
      })),
    );
  return [
    each("sessiond_store_file_bytes", "Size of the data file.", "fileBytes"),
    each("sessiond_store_free_bytes", "Bytes of it that are filled before it grows.", "freeBytes"),
    each("sessiond_store_limit_bytes", "Largest size of the file.", "maxBytes"),
    each("sessiond_store_readers", "Readers in the file's table of readers.", "readers"),
    each("sessiond_store_readers_limit", "Most readers there can be.", "maxReaders"),
    tables("sessiond_store_records", "Records of a table.", "entries"),
    tables("sessiond_store_table_bytes", "Bytes of a table.", "bytes"),
    reading(
      "gauge",
      "sessiond_disk_free_bytes",
      "Free on the disk of the data; absent while the folder cannot be looked at.",
      // The rest of a scrape is needed most when this fails.
      () => freeBytes(dataFolder).then(only, () => []),
    ),
  ];
}

/** Bytes that are free on the disk of a folder. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
