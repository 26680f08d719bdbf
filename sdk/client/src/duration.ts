import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { UsageError } from "./errors/client-errors.ts";

const nanosPerMs = 1e6;
const nanosPerSecond = 1e9;
/** The longest that a duration of the contract is: 10,000 years. */
const longestMs = 315_576_000_000_000;

/**
 * Milliseconds as a duration, to the nanosecond: clocks measure fractions that no duration holds.
 *
 * Errors: UsageError, which calls the time by the name given, for what no duration holds at all.
 */
export function toDuration(name: string, ms: number): Duration {
  // So written that NaN is refused as well.
  if (!(Math.abs(ms) <= longestMs)) {
    throw new UsageError(`${name} is ${ms}; give a time in milliseconds, within 10,000 years`);
  }
  const nanos = Math.round(ms * nanosPerMs);
  return create(DurationSchema, {
    seconds: BigInt(Math.trunc(nanos / nanosPerSecond)),
    // Never -0, which has no form on the wire.
    nanos: (nanos % nanosPerSecond) + 0,
  });
}
