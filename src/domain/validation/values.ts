import { limits } from "../../limits.ts";
import type { FieldRule } from "./rules.ts";

/** Takes note of one field that is wrong: its path and what to do about it. */
export type Report = (field: string, description: string) => void;

/** Checks a text: well-formed Unicode, size, form. NUL and every other character may stand in it. */
export function checkText(text: string, rule: FieldRule, path: string, report: Report): void {
  if (!text.isWellFormed()) {
    report(path, halfPair);
    return;
  }
  const { maxBytes, oneOf, pattern } = rule;
  if (maxBytes !== undefined) {
    // A UTF-16 unit takes at most 3 bytes, so most texts need no exact measure.
    const bytes = text.length * 3 <= maxBytes ? 0 : Buffer.byteLength(text);
    if (bytes > maxBytes) {
      report(path, tooLarge(bytes, maxBytes));
      return;
    }
  }
  if (pattern !== undefined && !pattern.regexp.test(text)) report(path, `must be ${pattern.words}`);
  if (oneOf !== undefined && !oneOf.includes(text)) {
    report(path, `must be one of ${oneOf.join(", ")}`);
  }
}

export const halfPair = "has half of a surrogate pair; send well-formed Unicode";

export function tooLarge(bytes: number, limit: number): string {
  return `has ${bytes} bytes, the limit is ${limit}; shorten it or send a reference`;
}

/** Checks a number. NaN and the infinities have no JSON form in a Struct, and add badly elsewhere. */
export function checkNumber(value: number, rule: FieldRule, path: string, report: Report): void {
  const { min, max, zero } = rule;
  if (value === 0 && zero !== undefined) report(path, zero);
  else if (!Number.isFinite(value)) report(path, "must be a finite number");
  else if (min !== undefined && value < min) report(path, `must be at least ${min}`);
  else if (max !== undefined && value > max) report(path, `must be at most ${max}`);
}

// Ranges of google.protobuf.Timestamp and Duration, outside of which JSON cannot carry them.
const minTimestamp = -62_135_596_800n;
const maxTimestamp = 253_402_300_799n;
const maxDuration = 315_576_000_000n;
const maxNanos = 999_999_999;

interface Time {
  readonly seconds: bigint;
  readonly nanos: number;
}

export function checkTimestamp({ seconds, nanos }: Time, path: string, report: Report): void {
  if (seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos > maxNanos) {
    report(path, "must lie between the years 1 and 9999");
  }
}

export function checkDuration({ seconds, nanos }: Time, path: string, report: Report): void {
  const signsDiffer = (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0);
  const tooLong = seconds > maxDuration || seconds < -maxDuration;
  if (signsDiffer || tooLong || Math.abs(nanos) > maxNanos) {
    report(path, "must be a duration within 10,000 years, its parts of one sign");
  }
}

/** Checks that a valid duration is long enough. */
export function checkShortest({ seconds, nanos }: Time, ms: number, path: string, report: Report) {
  if (Number(seconds) * 1e3 + nanos / 1e6 < ms) report(path, `must be at least ${ms} ms`);
}

export function tooDeep(): string {
  return `is nested deeper than ${limits.structDepth} levels; flatten it, or send it as text`;
}
