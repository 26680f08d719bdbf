import { describe, expect, test } from "vitest";
import { steadyClock } from "../src/ids.ts";

describe("a steady clock", () => {
  /** A wall clock and the time that passes, set by the test. */
  function clocks() {
    const at = { wallMs: 1_000_000, passedMs: 5.25 };
    const clock = steadyClock(
      () => at.wallMs,
      () => at.passedMs,
    );
    return { at, clock };
  }

  test("says what the wall clock says while both go the same way", () => {
    const { at, clock } = clocks();
    expect(clock()).toBe(1_000_000);
    at.wallMs += 700;
    at.passedMs += 700;
    expect(clock()).toBe(1_000_700);
  });

  test("goes on by the time that passes when the wall clock is set back", () => {
    const { at, clock } = clocks();
    at.wallMs -= 3_600_000;
    at.passedMs += 250;
    expect(clock()).toBe(1_000_250);
  });

  test("follows the wall clock ahead, as after a sleep", () => {
    const { at, clock } = clocks();
    at.wallMs += 3_600_000;
    at.passedMs += 1;
    expect(clock()).toBe(4_600_000);
    at.passedMs += 10;
    expect(clock()).toBe(4_600_010);
  });
});
