import fc from "fast-check";
import { expect, test } from "vitest";
import {
  addCounters,
  addEncodedCounters,
  COUNTERS,
  count,
  encodeCounters,
  newCounters,
} from "../../src/store/rollup-counters.ts";
import { Histogram } from "../../src/store/rollup-histogram.ts";

const day = 24 * 3_600 * 1e6;
/** Microseconds: from none to a month, short ones as often as long ones. */
const duration = fc
  .double({ min: 0, max: Math.log(30 * day), noNaN: true })
  .map((x) => Math.floor(Math.exp(x)));
const durations = fc.array(duration, { minLength: 1, maxLength: 200 });
const counter = fc.constantFrom(...COUNTERS);
const amount = fc.oneof(fc.nat(300), fc.maxSafeNat());
const amounts = fc.array(fc.tuple(counter, amount), { maxLength: 40 });

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
}

function countersOf(values: readonly (readonly [(typeof COUNTERS)[number], number])[]) {
  const counters = newCounters();
  for (const [name, by] of values) count(counters, name, by);
  return counters;
}

test("a quantile is within one percent of the duration it stands for", () => {
  fc.assert(
    fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const sorted = [...values].sort((a, b) => a - b);
      const exact = sorted[Math.floor(q * (sorted.length - 1))] ?? Number.NaN;
      const found = histogramOf(values).quantile(q) ?? Number.NaN;
      expect(Math.abs(found - exact)).toBeLessThanOrEqual(Math.max(1, exact * 0.010_000_1));
    }),
  );
});

test("no duration has no quantile", () => {
  expect(new Histogram().quantile(0.5)).toBeUndefined();
});

test("histograms that are stored and added up are the histogram of all", () => {
  fc.assert(
    fc.property(durations, durations, (some, others) => {
      const sum = new Histogram();
      sum.addEncoded(histogramOf(some).encode());
      sum.addEncoded(histogramOf(others).encode());
      expect(sum.encode()).toEqual(histogramOf([...some, ...others]).encode());
      expect(sum.total).toBe(some.length + others.length);
    }),
  );
});

test("counters that are stored and added up are the counters of all", () => {
  fc.assert(
    fc.property(amounts, amounts, (some, others) => {
      const [a, b] = [countersOf(some), countersOf(others)];
      const stored = newCounters();
      addEncodedCounters(stored, encodeCounters(a));
      expect(stored).toEqual(a);
      addEncodedCounters(stored, encodeCounters(b));
      addCounters(a, b);
      expect(stored).toEqual(a);
    }),
  );
});

test("counters of nothing take no bytes", () => {
  expect(encodeCounters(newCounters())).toHaveLength(0);
});

test("what nobody wrote is refused", () => {
  fc.assert(
    fc.property(amounts, fc.nat(200), (values, cut) => {
      const bytes = encodeCounters(countersOf(values));
      const part = bytes.subarray(0, cut % (bytes.length + 1));
      const read = newCounters();
      try {
        addEncodedCounters(read, part);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return;
      }
      // Cut between two counters: the rest of it is right.
      expect(encodeCounters(read)).toEqual(part);
    }),
  );
  expect(() => addEncodedCounters(newCounters(), Buffer.of(200, 1))).toThrow(RangeError);
  expect(() => new Histogram().addEncoded(Buffer.of(1, 1, 0, 1))).toThrow(RangeError);
});
