/*
 * W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1/): the headers `traceparent` and
 * `tracestate`.
 */

/** A `traceparent`: which span of which trace the work is part of. */
export interface TraceParent {
  /** 32 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** Of the span: 16 lower-case hexadecimal digits, not all zero. */
  readonly spanId: string;
  /** Somebody records the trace. */
  readonly sampled: boolean;
}

/** Version, trace id, parent id and flags; versions after 00 may go on behind another hyphen. */
const traceparentPattern =
  /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]*)?$/;
const allZero = /^0+$/;
const sampledFlag = 1;

/** Reads a `traceparent`. Undefined: it is malformed, and to be ignored with its `tracestate`. */
export function parseTraceparent(text: string): TraceParent | undefined {
  const [, version, traceId = "", spanId = "", flags = "", more] =
    traceparentPattern.exec(text) ?? [];
  if (version === undefined || version === "ff") return undefined;
  if (version === "00" && more !== undefined) return undefined;
  if (allZero.test(traceId) || allZero.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & sampledFlag) !== 0 };
}

/** A vendor's key, and a value without "," and "=", printable and not ending with a space. */
const memberPattern =
  /^(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
/** Members that a list may have. */
const maxMembers = 32;

/**
 * Reads a `tracestate`, several headers joined by commas. Gives its members without what is optional
 * between them. Undefined: it is malformed, and to be ignored.
 */
export function parseTracestate(text: string): string | undefined {
  const members = text
    .split(",")
    .map(trimmed)
    .filter((member) => member !== "");
  if (members.length === 0 || members.length > maxMembers) return undefined;
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf("="))));
  if (keys.size < members.length || !members.every((member) => memberPattern.test(member))) {
    return undefined;
  }
  return members.join(",");
}

/** Spaces and tabs are what may stand around a member. */
function trimmed(member: string): string {
  return member.replace(/^[ \t]+|[ \t]+$/g, "");
}
