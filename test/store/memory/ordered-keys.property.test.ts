import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OrderedKeys } from "../../../src/store/memory/ordered-keys.ts";

const key = fc.uint8Array({ minLength: 1, maxLength: 2, max: 3 });
const step = fc.record({ add: fc.boolean(), key });

describe("ordered keys", () => {
  it("are like a sorted list of a set", () => {
    fc.assert(
      fc.property(fc.array(step), key, key, fc.boolean(), (steps, start, end, reverse) => {
        const keys = new OrderedKeys();
        const model = new Map<string, Buffer>();
        for (const { add, key: bytes } of steps) {
          const buffer = Buffer.from(bytes);
          if (add) {
            keys.add(buffer);
            model.set(buffer.toString("hex"), buffer);
          } else {
            keys.delete(buffer);
            model.delete(buffer.toString("hex"));
          }
        }
        const sorted = [...model.values()].sort(Buffer.compare);
        expect([...keys.all()]).toEqual(sorted);
        const within = sorted.filter(
          (k) => Buffer.compare(k, start) >= 0 && Buffer.compare(k, end) < 0,
        );
        if (reverse) within.reverse();
        expect([...keys.range({ start, end, reverse })]).toEqual(within);
      }),
    );
  });
});
