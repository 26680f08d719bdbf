import fc from "fast-check";
import { expect, test } from "vitest";
import { GrowingBits } from "../../../src/domain/bundles/growing-bits.ts";

test("bits are as they were pushed, and beyond them there are none", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 5_000, size: "max" }), (pushed) => {
      const bits = new GrowingBits();
      for (const bit of pushed) bits.push(bit);
      const found = pushed.map((_, index) => bits.has(index + 1));
      expect(found).toEqual(pushed);
      expect([0, -1, pushed.length + 1, 0xffff_ffff].some((at) => bits.has(at))).toBe(false);
    }),
  );
});
