import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { CallTurns } from "../../src/transport/call-turns.ts";

/** Callers of `next`, by number, as they begin. */
function callers(turns: CallTurns, count: number): number[] {
  const begun: number[] = [];
  for (let index = 0; index < count; index++) void turns.next().then(() => begun.push(index));
  return begun;
}

const upTo = (end: number) => Array.from({ length: end }, (_, index) => index);

test("a few begin in one turn of the event loop, in order, until all have", async () => {
  const begun = callers(new CallTurns({ atOnce: 4 }), 10);
  expect(begun).toEqual([]);
  await Promise.resolve();
  await new Promise((resolve) => process.nextTick(resolve));
  expect(begun).toEqual(upTo(4));
  await turn();
  expect(begun).toEqual(upTo(8));
  await turn();
  expect(begun).toEqual(upTo(10));
});

test("who comes later waits behind those who wait", async () => {
  const turns = new CallTurns({ atOnce: 2 });
  const early = callers(turns, 4);
  await new Promise((resolve) => process.nextTick(resolve));
  const late = callers(turns, 1);
  await turn();
  expect([early, late]).toEqual([upTo(4), []]);
  await turn();
  expect(late).toEqual([0]);
});

test("a lone one does not wait for a turn, also after others did", async () => {
  const turns = new CallTurns({ atOnce: 2 });
  callers(turns, 3);
  for (let count = 0; count < 4; count++) await turn();
  const begun = callers(turns, 1);
  await new Promise((resolve) => process.nextTick(resolve));
  await Promise.resolve();
  expect(begun).toEqual([0]);
});
