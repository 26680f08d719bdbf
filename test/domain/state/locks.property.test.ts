import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Hold, Locks } from "../../../src/domain/state/locks.ts";

const holds = fc.uniqueArray(
  fc.record({ name: fc.constantFrom("a", "b", "c"), alone: fc.boolean() }),
  { selector: ({ name }) => name, minLength: 1 },
);

test("who has a lock alone shares it with nobody, and everybody gets a turn", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(holds, fc.nat(3), fc.boolean()), { maxLength: 12 }),
      async (all) => {
        const locks = new Locks();
        const inside: Hold[] = [];
        const done = all.map(([wanted, turns, fails]) =>
          locks.hold(wanted, async () => {
            for (const { name, alone } of wanted) {
              const others = inside.filter((other) => other.name === name);
              expect(others.every((other) => !alone && !other.alone)).toBe(true);
            }
            inside.push(...wanted);
            for (let turn = 0; turn < turns; turn++) await setImmediate();
            for (const hold of wanted) inside.splice(inside.indexOf(hold), 1);
            if (fails) throw new Error("failed on purpose");
            return turns;
          }),
        );
        const settled = await Promise.allSettled(done);
        expect(settled.map(({ status }) => status === "rejected")).toEqual(
          all.map(([, , fails]) => fails),
        );
      },
    ),
  );
});

test("a lock is shared at once, and in turn by those who want it alone", async () => {
  const locks = new Locks();
  const order: string[] = [];
  const hold = (name: string, alone: boolean, turns = 1) =>
    locks.hold([{ name: "x", alone }], async () => {
      order.push(`+${name}`);
      for (let turn = 0; turn < turns; turn++) await setImmediate();
      order.push(`-${name}`);
    });
  await Promise.all([
    hold("a", false, 2),
    hold("b", false, 1),
    hold("c", true),
    hold("d", false),
    hold("e", true),
  ]);
  expect(order).toEqual(["+a", "+b", "-b", "-a", "+c", "-c", "+d", "-d", "+e", "-e"]);
});
