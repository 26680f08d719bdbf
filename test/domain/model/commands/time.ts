import fc from "fast-check";
import type { Happening } from "../world.ts";

const spansMs = [1, 20, 49, 50, 999, 1_000, 29_000, 60_000, 3_600_000, 90_000_000, 864_000_000];

/** The clock jumps ahead, by milliseconds or by days, or is set back a little. */
export const passing: fc.Arbitrary<Happening> = fc
  .oneof(
    { weight: 5, arbitrary: fc.constantFrom(...spansMs) },
    { weight: 1, arbitrary: fc.integer({ min: -2_000, max: -1 }) },
  )
  .map((ms) => ({
    toString: () => `pass ${ms} ms`,
    async run(world, { domain }) {
      const { model } = world;
      model.nowMs += ms;
      world.wasSetBack ||= ms < 0;
      domain.now = model.nowMs;
    },
  }));

/** The server is stopped and started again. */
export const restarting: fc.Arbitrary<Happening> = fc.constant({
  toString: () => "restart",
  run: (_world, real) => real.restart(),
});

/** The sweep writes down what time has done, and housekeeping frees what is gone. */
export const sweeping: fc.Arbitrary<Happening> = fc.constant({
  toString: () => "sweep",
  async run({ model }, real) {
    await real.sweep();
    model.sweep();
  },
});
