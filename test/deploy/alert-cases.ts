import { stringify } from "yaml";
import { alertsFile } from "./prometheus.ts";

/** How a server is doing: what its series are like, in the notation of `promtool test rules`. */
export type Condition = "well" | "ill";

const gauges: Readonly<Record<string, Readonly<Record<Condition, string>>>> = {
  sessiond_store_writes_refused: { well: "0x120", ill: "1x120" },
  sessiond_disk_free_bytes: { well: "1000000000x120", ill: "100000000x120" },
  sessiond_store_file_bytes: { well: "100x120", ill: "950x120" },
  sessiond_store_free_bytes: { well: "40x120", ill: "0x120" },
  sessiond_store_limit_bytes: { well: "1000x120", ill: "1000x120" },
  sessiond_commit_oldest_seconds: { well: "0.01x120", ill: "7x120" },
  sessiond_watch_lag_max: { well: "10x120", ill: "20000x120" },
  'sessiond_sink_failing{sink="audit"}': { well: "0x120", ill: "1x120" },
  'sessiond_sink_lag_commits{sink="audit"}': { well: "10x120", ill: "20000x120" },
  sessiond_consumer_lag_max: { well: "10x120", ill: "20000x120" },
  sessiond_info: { well: "1x120", ill: "1x120" },
  nodejs_eventloop_lag_p99_seconds: { well: "0.012x120", ill: "0.4x120" },
};
/** What is added every minute. */
const counters: Readonly<Record<string, Readonly<Record<Condition, number>>>> = {
  'sessiond_calls_total{code="ok"}': { well: 100, ill: 80 },
  // The caller's own mistakes make no server ill.
  'sessiond_calls_total{code="not_found"}': { well: 50, ill: 0 },
  'sessiond_calls_total{code="internal"}': { well: 1, ill: 20 },
  'sessiond_commit_duration_seconds_bucket{le="0.5"}': { well: 1_000, ill: 900 },
  'sessiond_commit_duration_seconds_bucket{le="2.5"}': { well: 1_000, ill: 1_000 },
  'sessiond_commit_duration_seconds_bucket{le="+Inf"}': { well: 1_000, ill: 1_000 },
  'sessiond_events_total{payload="message"}': { well: 100, ill: 100 },
  'sessiond_compactions_total{strategy="extract"}': { well: 1, ill: 20 },
  sessiond_compaction_tokens_before_total: { well: 1_000, ill: 1_000 },
  sessiond_compaction_tokens_after_total: { well: 500, ill: 900 },
  'sessiond_sink_refused_events_total{sink="audit"}': { well: 0, ill: 5 },
  'sessiond_sink_missed_events_total{sink="audit"}': { well: 0, ill: 5 },
  sessiond_event_tokens_total: { well: 1_000, ill: 1_000 },
  sessiond_protected_event_tokens_total: { well: 100, ill: 800 },
};

/** A test for promtool: after two hours in a condition, these alerts fire and no others. */
export function alertCase(condition: Condition, firing: readonly string[]): string {
  const series = [
    ...Object.entries(gauges).map(([name, values]) => [name, values[condition]] as const),
    ...Object.entries(counters).map(
      ([name, steps]) => [name, `0+${steps[condition]}x120`] as const,
    ),
  ];
  return stringify({
    rule_files: [alertsFile],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: series.map(([name, values]) => ({ series: labelled(name), values })),
        promql_expr_test: [
          {
            expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
            eval_time: "2h",
            exp_samples: firing.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
          },
        ],
      },
    ],
  });
}

function labelled(series: string): string {
  const target = 'instance="a:7378",job="sessiond"';
  return series.includes("{") ? series.replace("}", `,${target}}`) : `${series}{${target}}`;
}
