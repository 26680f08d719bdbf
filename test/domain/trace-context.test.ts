import fc from "fast-check";
import { expect, test } from "vitest";
import { parseTraceparent, parseTracestate } from "../../src/domain/trace-context.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";

test("a traceparent names a span of a trace", () => {
  expect(parseTraceparent(`00-${traceId}-${spanId}-01`)).toEqual({
    traceId,
    spanId,
    sampled: true,
  });
  expect(parseTraceparent(`00-${traceId}-${spanId}-00`)?.sampled).toBe(false);
  expect(parseTraceparent(`00-${traceId}-${spanId}-03`)?.sampled).toBe(true);
});

test("a later version is read as far as it is known", () => {
  const expected = { traceId, spanId, sampled: true };
  expect(parseTraceparent(`cc-${traceId}-${spanId}-01`)).toEqual(expected);
  expect(parseTraceparent(`cc-${traceId}-${spanId}-01-what-the-future-holds`)).toEqual(expected);
  expect(parseTraceparent(`cc-${traceId}-${spanId}-01.more`)).toBeUndefined();
});

test.each([
  ["nothing", ""],
  ["another version that never is", `ff-${traceId}-${spanId}-01`],
  ["more behind version 00", `00-${traceId}-${spanId}-01-more`],
  ["a trace id of zeros", `00-${"0".repeat(32)}-${spanId}-01`],
  ["a span id of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
  ["upper case", `00-${traceId.toUpperCase()}-${spanId}-01`],
  ["a short trace id", `00-${traceId.slice(1)}-${spanId}-01`],
  ["a long span id", `00-${traceId}-${spanId}0-01`],
  ["no flags", `00-${traceId}-${spanId}`],
  ["white space", ` 00-${traceId}-${spanId}-01`],
  ["two headers", `00-${traceId}-${spanId}-01,00-${traceId}-${spanId}-01`],
  ["another alphabet", `00-${traceId.replace("4", "g")}-${spanId}-01`],
])("a traceparent with %s is malformed", (_what, text) => {
  expect(parseTraceparent(text)).toBeUndefined();
});

test("every traceparent of version 00 is read as it was written", () => {
  const digits = (length: number) =>
    fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text));
  fc.assert(
    fc.property(digits(32), digits(16), fc.integer({ min: 0, max: 255 }), (trace, span, flags) => {
      const text = `00-${trace}-${span}-${flags.toString(16).padStart(2, "0")}`;
      expect(parseTraceparent(text)).toEqual({
        traceId: trace,
        spanId: span,
        sampled: flags % 2 === 1,
      });
    }),
  );
});

test("a tracestate is its members in their order", () => {
  expect(parseTracestate("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")).toBe(
    "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
  );
  expect(parseTracestate(" rojo=1 ,\t, congo=a b ,")).toBe("rojo=1,congo=a b");
  expect(parseTracestate("fw529a3039@dt=FfAAAQ,a*/-_0= x")).toBe("fw529a3039@dt=FfAAAQ,a*/-_0= x");
});

test.each([
  ["nothing", ""],
  ["no member", " , ,"],
  ["a member without a value", "rojo"],
  ["an empty value", "rojo="],
  ["an upper-case key", "Rojo=1"],
  ["a key twice", "rojo=1,congo=2,rojo=3"],
  ["a sign of equality in a value", "rojo=1=2"],
  ["a key without a vendor", "rojo@=1"],
  ["letters of another alphabet", "rojo=é"],
  ["33 members", Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(",")],
])("a tracestate with %s is malformed", (_what, text) => {
  expect(parseTracestate(text)).toBeUndefined();
});
