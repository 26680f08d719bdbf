import type { ServiceImpl } from "@connectrpc/connect";
import type { MetricsService } from "@sessiond/contract";
import type { Domain } from "../domain/domain.ts";

export function metricsService({
  counters,
  aggregates,
}: Pick<Domain, "counters" | "aggregates">): ServiceImpl<typeof MetricsService> {
  return {
    recordRequest: (request) => counters.record(request),
    getSessionMetrics: (request) => counters.get(request),
    aggregateMetrics: (request) => aggregates.aggregate(request),
  };
}
