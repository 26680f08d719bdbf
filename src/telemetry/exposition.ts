import { collectDefaultMetrics, type Metric, Registry } from "@prometheus-io/client";
import type { Family } from "./family.ts";
import type { Exposition } from "./metrics.ts";

/** What the library knows about every process; the rest of it breaks the naming rules or tells little. */
const ofProcess = new Set([
  "process_cpu_user_seconds_total",
  "process_cpu_system_seconds_total",
  "process_cpu_seconds_total",
  "process_start_time_seconds",
  "process_resident_memory_bytes",
  "process_virtual_memory_bytes",
  "process_open_fds",
  "process_max_fds",
  "nodejs_eventloop_lag_mean_seconds",
  "nodejs_eventloop_lag_max_seconds",
  "nodejs_eventloop_lag_p50_seconds",
  "nodejs_eventloop_lag_p90_seconds",
  "nodejs_eventloop_lag_p99_seconds",
  "nodejs_heap_size_total_bytes",
  "nodejs_heap_size_used_bytes",
  "nodejs_external_memory_bytes",
  "nodejs_gc_duration_seconds",
]);

const processRegistry = new Registry();
collectDefaultMetrics({ register: processRegistry });

/** What a registry reads of a metric when it writes. */
interface Readable {
  name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly object[];
}

/**
 * Writes families, and what the process is doing, in the text format of Prometheus or in OpenMetrics.
 *
 * The registry is made for the occasion: for OpenMetrics the library takes `_total` off the name of a
 * counter and never puts it back, so one registry cannot write both.
 */
export async function exposition(
  families: readonly Family[],
  { openMetrics }: { openMetrics: boolean },
): Promise<Exposition> {
  const contentType = openMetrics
    ? Registry.OPENMETRICS_CONTENT_TYPE
    : Registry.PROMETHEUS_CONTENT_TYPE;
  const registry = new Registry(contentType);
  for (const family of await Promise.all(families.map(read))) add(registry, family);
  for (const metric of await processRegistry.getMetricsAsJSON()) {
    if (ofProcess.has(metric.name)) add(registry, metric);
  }
  return { contentType, text: await registry.metrics() };
}

async function read(family: Family): Promise<Readable> {
  const { name, help, type } = family;
  const samples = await family.samples();
  const values = samples.map(({ labels, value, suffix = "" }) => ({
    labels,
    value,
    ...(suffix !== "" && { metricName: name + suffix }),
  }));
  return { name, help, type, values };
}

function add(registry: Registry, { name, help, type, values }: Readable): void {
  const metric = { name, type, get: async () => ({ name: metric.name, help, type, values }) };
  // The type asks for all that a counter of the library can do; of this one it only reads.
  registry.registerMetric(metric as unknown as Metric);
}
