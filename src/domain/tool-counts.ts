import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Event, type ToolMetrics, ToolMetricsSchema } from "@sessiond/contract";
import type { OpenCall } from "@sessiond/contract/store";
import { limits } from "../limits.ts";

/** The longest time a field can carry. */
const maxDurationMs = 315_576_000_000_000;

/** Tools with an event counted in; the list given is not changed. `call`: the one that it closes. */
export function withToolEvent(
  tools: ToolMetrics[],
  event: Event,
  call: OpenCall | undefined,
): ToolMetrics[] {
  const { payload } = event;
  if (payload.case === "toolCall") {
    return changed(tools, payload.value.name, (tool) => ({ ...tool, calls: tool.calls + 1 }));
  }
  if (payload.case !== "toolResult" || call === undefined) return tools;
  const { isError } = payload.value;
  return changed(tools, call.tool, (tool) => {
    const results = tool.results + 1;
    const before = tool.duration ? durationMs(tool.duration) : 0;
    const ms = Math.min(before + timeOf(event, call), maxDurationMs);
    return {
      ...tool,
      results,
      errors: tool.errors + (isError ? 1 : 0),
      ...(ms > 0 && {
        duration: durationFromMs(ms),
        averageDuration: durationFromMs(Math.round(ms / results)),
      }),
    };
  });
}

function changed(
  tools: readonly ToolMetrics[],
  name: string,
  change: (tool: ToolMetrics) => ToolMetrics,
): ToolMetrics[] {
  const isFull = tools.filter((tool) => tool.name !== "").length >= limits.toolMetrics;
  const known = tools.some((tool) => tool.name === name);
  const entry = known || !isFull ? name : "";
  const at = tools.findIndex((tool) => tool.name === entry);
  if (at === -1) return [...tools, change(create(ToolMetricsSchema, { name: entry }))];
  return tools.map((tool, index) => (index === at ? change(tool) : tool));
}

/** Milliseconds that a call took. */
function timeOf({ duration, createTime }: Event, { callTime }: OpenCall): number {
  if (duration !== undefined) return durationMs(duration);
  if (createTime === undefined || callTime === undefined) return 0;
  return Math.max(0, timestampMs(createTime) - timestampMs(callTime));
}
