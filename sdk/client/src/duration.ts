import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";

const nanosPerMs = 1e6;
const nanosPerSecond = 1e9;

/** Milliseconds as a duration, to the nanosecond: clocks measure fractions that no duration holds. */
export function toDuration(ms: number): Duration {
  const nanos = Math.round(ms * nanosPerMs);
  return create(DurationSchema, {
    seconds: BigInt(Math.trunc(nanos / nanosPerSecond)),
    // Never -0, which has no form on the wire.
    nanos: (nanos % nanosPerSecond) + 0,
  });
}
