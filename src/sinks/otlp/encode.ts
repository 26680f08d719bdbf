import { ProtobufLogsSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { schemaUrl } from "./names.ts";
import type { LogRecord, SpanRecord, SpanRef } from "./records.ts";
import type { OtlpSettings, Signal } from "./settings.ts";

/*
 * Records in the forms that the serializers of OpenTelemetry take. They read no more of those than stands
 * here, which is less than their types ask for: these are of the SDK, which nobody needs for it.
 */

type Spans = Parameters<typeof ProtobufTraceSerializer.serializeRequest>[0];
type Logs = Parameters<typeof ProtobufLogsSerializer.serializeRequest>[0];

/** A pair of seconds and nanoseconds. */
type HrTime = [number, number];

const sampled = 1;
const severities = {
  info: { severityNumber: 9, severityText: "INFO" },
  warn: { severityNumber: 13, severityText: "WARN" },
  error: { severityNumber: 17, severityText: "ERROR" },
} as const satisfies Record<LogRecord["severity"], unknown>;
const kinds = { internal: 0, client: 2 } as const satisfies Record<SpanRecord["kind"], number>;
const statusError = 2;

/** Encodes records as the requests of OTLP, in Protobuf. */
export class Encoder {
  readonly #resource: unknown;
  readonly #scope: unknown;

  constructor({ resource, version }: Pick<OtlpSettings, "resource" | "version">) {
    this.#resource = { attributes: resource };
    this.#scope = { name: "sessiond", version, schemaUrl };
  }

  spans(records: readonly SpanRecord[]): Uint8Array {
    const spans = records.map((record) => ({
      ...nothingDropped,
      name: record.name,
      kind: kinds[record.kind],
      spanContext: () => contextOf(record),
      parentSpanContext: record.parent && {
        spanId: record.parent.spanId,
        isRemote: record.parent.isRemote,
      },
      startTime: toHrTime(record.startMs),
      endTime: toHrTime(record.endMs),
      status: statusOf(record),
      attributes: record.attributes,
      events: [],
      links: record.links.map(({ to, attributes = {} }) => ({
        context: { ...contextOf(to), isRemote: true },
        attributes,
      })),
      resource: this.#resource,
      instrumentationScope: this.#scope,
    }));
    return bytesOf(ProtobufTraceSerializer.serializeRequest(spans as unknown as Spans));
  }

  logs(records: readonly LogRecord[], observedMs: number): Uint8Array {
    const observed = toHrTime(observedMs);
    const logs = records.map((record) => ({
      ...nothingDropped,
      ...severities[record.severity],
      hrTime: toHrTime(record.timeMs),
      hrTimeObserved: observed,
      eventName: record.eventName,
      body: record.body,
      attributes: record.attributes,
      spanContext: record.span && contextOf(record.span),
      resource: this.#resource,
      instrumentationScope: this.#scope,
    }));
    return bytesOf(ProtobufLogsSerializer.serializeRequest(logs as unknown as Logs));
  }
}

const nothingDropped = {
  droppedAttributesCount: 0,
  droppedEventsCount: 0,
  droppedLinksCount: 0,
} as const;

function statusOf({ error }: SpanRecord) {
  return error === undefined ? { code: 0 } : { code: statusError, message: error };
}

function contextOf({ traceId, spanId, tracestate }: SpanRef) {
  const traceState = tracestate === undefined ? undefined : { serialize: () => tracestate };
  return { traceId, spanId, traceFlags: sampled, traceState };
}

function toHrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  // Rounded to microseconds, which is as exact as milliseconds since 1970 are in a number.
  const nanos = Math.round((ms - seconds * 1_000) * 1_000) * 1_000;
  return nanos < 1_000_000_000 ? [seconds, nanos] : [seconds + 1, 0];
}

function bytesOf(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) throw new Error("the serializer gave nothing");
  return bytes;
}

/** Reads out of an answer how many records the receiver left out. Errors: it is no answer. */
export function rejectedOf(signal: Signal, answer: Uint8Array): number {
  switch (signal) {
    case "logs": {
      const { partialSuccess } = ProtobufLogsSerializer.deserializeResponse(answer);
      return partialSuccess?.rejectedLogRecords ?? 0;
    }
    case "traces": {
      const { partialSuccess } = ProtobufTraceSerializer.deserializeResponse(answer);
      return partialSuccess?.rejectedSpans ?? 0;
    }
  }
}
