import { expect, test } from "vitest";
import { Counter } from "../../src/telemetry/counter.ts";
import { Histogram } from "../../src/telemetry/histogram.ts";
import { Meters } from "../../src/telemetry/meters.ts";

test("a counter keeps a number for each combination of labels that came up", () => {
  const counter = new Counter({ name: "n_total", help: "", labels: ["a", "b"] });
  expect(counter.samples()).toEqual([]);
  counter.add(2, "x", "y");
  counter.add(1, "x", "z");
  counter.add(3, "x", "y");
  expect(counter.samples()).toEqual([
    { labels: { a: "x", b: "y" }, value: 5 },
    { labels: { a: "x", b: "z" }, value: 1 },
  ]);
});

test("a histogram counts what is up to each bound, and all", () => {
  const histogram = new Histogram({ name: "h", help: "", labels: ["a"], bounds: [1, 10] });
  for (const value of [0.5, 1, 1.5, 10, 11]) histogram.observe(value, "x");
  expect(histogram.samples()).toEqual([
    { suffix: "_bucket", labels: { a: "x", le: "1" }, value: 2 },
    { suffix: "_bucket", labels: { a: "x", le: "10" }, value: 4 },
    { suffix: "_bucket", labels: { a: "x", le: "+Inf" }, value: 5 },
    { suffix: "_sum", labels: { a: "x" }, value: 24 },
    { suffix: "_count", labels: { a: "x" }, value: 5 },
  ]);
});

test("what has no labels is there before anything happened", () => {
  const histogram = new Histogram({ name: "h", help: "", labels: [], bounds: [] });
  expect(histogram.samples().map(({ value }) => value)).toEqual([0, 0, 0]);
  expect(new Counter({ name: "c_total", help: "", labels: [] }).samples()).toHaveLength(1);
});

test("names follow the rules of Prometheus: a prefix, base units, and _total for counters alone", () => {
  for (const { name, type, help } of new Meters().families) {
    expect(name).toMatch(/^sessiond_[a-z_]+$/);
    expect(name.endsWith("_total")).toBe(type === "counter");
    expect(help).toMatch(/\.$/);
  }
});
