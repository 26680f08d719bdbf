import type { JsonValue } from "@bufbuild/protobuf";

/** What an attribute may be. */
export type AttributeValue = string | number | boolean;
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** What the body of a log record may be. */
export type Body = JsonValue;

/** A span of a trace, by the W3C's ids. */
export interface SpanRef {
  readonly traceId: string;
  readonly spanId: string;
  /** Absent: none. */
  readonly tracestate?: string | undefined;
}

/** A span that is over. Times are milliseconds since 1970. */
export interface SpanRecord extends SpanRef {
  /** Absent: it is the root of its trace. */
  readonly parent?: { readonly spanId: string; readonly isRemote: boolean } | undefined;
  readonly name: string;
  readonly kind: "internal" | "client";
  readonly startMs: number;
  /** Never before the start. */
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly links: readonly { readonly to: SpanRef; readonly attributes?: Attributes }[];
  /** Absent: nothing is known to have failed. */
  readonly error?: string | undefined;
}

/** Something that happened. Times are milliseconds since 1970. */
export interface LogRecord {
  readonly timeMs: number;
  readonly severity: "info" | "warn" | "error";
  readonly eventName: string;
  /** Absent: content stays here, or there is none. */
  readonly body?: Body | undefined;
  readonly attributes: Attributes;
  /** The span that it happened in. Absent: none. */
  readonly span?: SpanRef | undefined;
}
