import { create, equals, type JsonValue } from "@bufbuild/protobuf";
import { BundleEventsSchema, EventSchema, ExportSessionResponseSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseBundleLine, partLines } from "../../sdk/client/src/bundle/index.ts";
import { jsonText } from "../../sdk/client/src/bundle/json-text.ts";
import { jsonValue, messageOf, ruleHints } from "../support/arbitraries.ts";

test("JSON on a line gives back every value, negative zeros among them", () => {
  fc.assert(
    fc.property(jsonValue({ percent: 0 }), (value) => {
      const text = jsonText(value);
      expect(text).not.toContain("\n");
      expect(JSON.parse(text)).toEqual(value);
    }),
  );
  const tricky: JsonValue = { a: -0, b: "negative zero", c: ["negative zero.", -0, 0] };
  expect(JSON.parse(jsonText(tricky))).toEqual(tricky);
  expect(Object.is((JSON.parse(jsonText(tricky)) as { a: number }).a, -0)).toBe(true);
});

test("an event is the same after its line was read", () => {
  fc.assert(
    fc.property(messageOf(EventSchema, ruleHints, { percent: 0 }), (event) => {
      const value = create(BundleEventsSchema, { events: [event] });
      const part = { case: "events", value } as const;
      const [line = ""] = partLines(create(ExportSessionResponseSchema, { part }));
      const parsed = parseBundleLine(line, 1);
      if (parsed.kind !== "event") throw new Error(parsed.kind);
      expect(equals(EventSchema, parsed.value, event)).toBe(true);
    }),
    { numRuns: 300 },
  );
});
