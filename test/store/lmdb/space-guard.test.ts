import { describe, expect, it } from "vitest";
import { WritesRefusedError } from "../../../src/errors.ts";
import { costOf, type Space, SpaceGuard } from "../../../src/store/lmdb/space-guard.ts";

const MiB = 1024 * 1024;

/** A guard over a space that the test changes. */
function setUp(space: Partial<Space>) {
  const actual = { growthBytes: 0, insideBytes: 0, totalBytes: 1_024 * MiB, ...space };
  return { actual, guard: new SpaceGuard(() => ({ ...actual })) };
}

function cost(valueBytes: number) {
  return costOf([{ table: "events", key: Buffer.alloc(20), value: Buffer.alloc(valueBytes) }]);
}

describe("the space guard", () => {
  it("takes writes while there is more than the reserve", () => {
    const { guard } = setUp({ growthBytes: 100 * MiB });
    expect(guard.refused()).toBeUndefined();
    expect(() => guard.assertRoom(cost(1_000), "write")).not.toThrow();
  });

  it("refuses writes at the reserve and says how much is free and needed", () => {
    const { guard } = setUp({ growthBytes: 64 * MiB });
    expect(guard.refused()).toContain("nearly full");
    expect(() => guard.assertRoom(cost(1_000), "write")).toThrow(
      expect.objectContaining({
        reason: "WRITES_REFUSED",
        details: { free_bytes: String(64 * MiB), needed_bytes: expect.stringMatching(/^\d+$/) },
      }),
    );
  });

  it("keeps an eighth of a small disk instead", () => {
    const { guard } = setUp({ totalBytes: 8 * MiB, growthBytes: 2 * MiB });
    expect(() => guard.assertRoom(cost(1_000), "write")).not.toThrow();
    expect(() => guard.assertRoom(cost(MiB), "write")).toThrow(WritesRefusedError);
  });

  it("takes what relieves the disk from the reserve, but not to the last byte", () => {
    const { guard } = setUp({ growthBytes: 9 * MiB });
    expect(() => guard.assertRoom(cost(0), "write")).toThrow(WritesRefusedError);
    expect(() => guard.assertRoom(cost(0), "relief")).not.toThrow();
    const { guard: nearlyFull } = setUp({ growthBytes: 7 * MiB });
    expect(() => nearlyFull.assertRoom(cost(0), "relief")).toThrow(WritesRefusedError);
  });

  it("counts pages inside the file for small values, not for those that need a run of pages", () => {
    const { guard } = setUp({ growthBytes: 9 * MiB, insideBytes: 500 * MiB });
    expect(() => guard.assertRoom(cost(1_000), "write")).not.toThrow();
    expect(() => guard.assertRoom(cost(2 * MiB), "write")).toThrow(WritesRefusedError);
  });

  it("counts commits under way, and sees what they left once they are done", () => {
    const { guard, actual } = setUp({ growthBytes: 70 * MiB });
    const first = cost(2 * MiB);
    guard.assertRoom(first, "write");
    guard.begin(first);
    expect(() => guard.assertRoom(first, "write")).toThrow(WritesRefusedError);
    guard.end(first);
    actual.growthBytes -= 1 * MiB;
    expect(() => guard.assertRoom(first, "write")).not.toThrow();
  });
});
