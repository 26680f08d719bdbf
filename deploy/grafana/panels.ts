/** A line or several of a panel. */
interface Query {
  readonly expr: string;
  /** What a line is called: `{{method}}`. */
  readonly legend: string;
}

/** What a panel's axis counts, by the names of Grafana. */
type Unit = "ops" | "s" | "bytes" | "percentunit" | "short";

export interface Panel {
  readonly title: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
}

/** What every query is restricted to. */
const of = '{instance=~"$instance"}';

/** Rows of panels, from what callers notice to what the machine does. */
export const rows: Readonly<Record<string, readonly Panel[]>> = {
  Calls: [
    rate("Calls", "sessiond_calls_total", "method"),
    {
      title: "Errors by reason",
      unit: "ops",
      queries: [
        {
          expr: `sum by (method, reason) (rate(sessiond_call_errors_total${of}[$__rate_interval]))`,
          legend: "{{method}} {{reason}}",
        },
      ],
    },
    {
      title: "Latency, p99",
      unit: "s",
      queries: [quantile(0.99, "sessiond_call_duration_seconds", "method")],
    },
    gauge("Calls under way", "short", "sessiond_calls_running", "kind"),
  ],
  Sessions: [
    gauge("Sessions by state", "short", "sessiond_sessions", "state"),
    rate("Events", "sessiond_events_total", "payload"),
    gauge("Watches", "short", "sessiond_watches", "of"),
    gauge("Slowest watch is behind", "short", "sessiond_watch_lag_max", "of"),
    gauge("Slowest consumer is behind", "short", "sessiond_consumer_lag_max", "instance"),
  ],
  Sinks: [
    rate("Events delivered", "sessiond_sink_events_total", "sink"),
    gauge("Commits not delivered", "short", "sessiond_sink_lag_commits", "sink"),
    gauge("Age of what is delivered", "s", "sessiond_sink_lag_seconds", "sink"),
    {
      title: "Failures, refused and missed events",
      unit: "ops",
      queries: [
        { expr: sum("sessiond_sink_failures_total", "sink"), legend: "{{sink}} tried again" },
        { expr: sum("sessiond_sink_refused_events_total", "sink"), legend: "{{sink}} refused" },
        { expr: sum("sessiond_sink_missed_events_total", "sink"), legend: "{{sink}} missed" },
      ],
    },
  ],
  Windows: [
    rate("Compactions", "sessiond_compactions_total", "strategy"),
    share(
      "Tokens left by a compaction",
      "sessiond_compaction_tokens_after_total",
      "sessiond_compaction_tokens_before_total",
    ),
    share(
      "Protected share of tokens",
      "sessiond_protected_event_tokens_total",
      "sessiond_event_tokens_total",
    ),
    {
      title: "Counting tokens",
      unit: "s",
      queries: [
        quantile(0.5, "sessiond_token_count_duration_seconds"),
        quantile(0.99, "sessiond_token_count_duration_seconds"),
      ],
    },
  ],
  Store: [
    {
      title: "Commit latency",
      unit: "s",
      queries: [
        quantile(0.5, "sessiond_commit_duration_seconds"),
        quantile(0.99, "sessiond_commit_duration_seconds"),
      ],
    },
    {
      title: "Commits on disk together, on average",
      unit: "short",
      queries: [
        {
          expr: `${sum("sessiond_commit_batch_size_sum")} / ${sum("sessiond_commit_batch_size_count")}`,
          legend: "commits",
        },
      ],
    },
    {
      title: "Data file and disk",
      unit: "bytes",
      queries: [
        { expr: `sum(sessiond_store_file_bytes${of})`, legend: "file" },
        { expr: `sum(sessiond_store_free_bytes${of})`, legend: "free in the file" },
        { expr: `min(sessiond_disk_free_bytes${of})`, legend: "free on the disk" },
      ],
    },
    {
      title: "Writes refused, readers",
      unit: "short",
      queries: [
        { expr: `max(sessiond_store_writes_refused${of})`, legend: "writes are refused" },
        { expr: `max(sessiond_store_readers${of})`, legend: "readers" },
      ],
    },
  ],
  Process: [
    {
      title: "Event loop delay",
      unit: "s",
      queries: [
        { expr: `max(nodejs_eventloop_lag_p50_seconds${of})`, legend: "p50" },
        { expr: `max(nodejs_eventloop_lag_p99_seconds${of})`, legend: "p99" },
      ],
    },
    {
      title: "CPU",
      unit: "percentunit",
      queries: [{ expr: sum("process_cpu_seconds_total"), legend: "cores" }],
    },
    {
      title: "Memory",
      unit: "bytes",
      queries: [
        { expr: `sum(process_resident_memory_bytes${of})`, legend: "resident" },
        { expr: `sum(nodejs_heap_size_used_bytes${of})`, legend: "heap" },
        { expr: `sum by (cache) (sessiond_cache_bytes${of})`, legend: "cache {{cache}}" },
      ],
    },
    {
      title: "Cache hits",
      unit: "percentunit",
      queries: [
        {
          expr: `${sum("sessiond_cache_hits_total", "cache")} / (${sum("sessiond_cache_hits_total", "cache")} + ${sum("sessiond_cache_misses_total", "cache")})`,
          legend: "{{cache}}",
        },
      ],
    },
  ],
};

/** Of a counter, a second. */
function sum(counter: string, by?: string): string {
  return `sum${by === undefined ? "" : ` by (${by}) `}(rate(${counter}${of}[$__rate_interval]))`;
}

function rate(title: string, counter: string, by: string): Panel {
  return { title, unit: "ops", queries: [{ expr: sum(counter, by), legend: `{{${by}}}` }] };
}

function gauge(title: string, unit: Unit, name: string, by: string): Panel {
  const expr = `sum by (${by}) (${name}${of})`;
  return { title, unit, queries: [{ expr, legend: `{{${by}}}` }] };
}

function share(title: string, part: string, whole: string): Panel {
  const expr = `${sum(part)} / ${sum(whole)}`;
  return { title, unit: "percentunit", queries: [{ expr, legend: "share" }] };
}

function quantile(q: number, histogram: string, by?: string): Query {
  const buckets = sum(`${histogram}_bucket`, by === undefined ? "le" : `le, ${by}`);
  const legend = by === undefined ? `p${q * 100}` : `{{${by}}}`;
  return { expr: `histogram_quantile(${q}, ${buckets})`, legend };
}
