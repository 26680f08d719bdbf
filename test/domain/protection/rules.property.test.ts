import { create, type JsonObject } from "@bufbuild/protobuf";
import { EventSchema, ProtectionRuleSchema } from "@sessiond/contract";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { compileRules } from "../../../src/domain/protection/rules.ts";
import { InvalidFieldError } from "../../../src/errors.ts";

const pieces = fc.constantFrom(
  ..."event . text metadata turn x ( ) [ ] { } , : ? == != < + - * / % ! && || in has exists all map".split(
    " ",
  ),
  ...[
    "'a'",
    '"b"',
    "1",
    "0.5",
    "true",
    "null",
    "contains",
    "size",
    "split",
    "int",
    "\\",
    "\n",
    " ",
  ],
);
const expressions = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.array(pieces, { maxLength: 30 }).map((words) => words.join("")),
  fc.array(pieces, { maxLength: 30 }).map((words) => words.join(" ")),
);
const metadata = fc
  .dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }))
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonObject);

test("any text as an expression compiles, or is refused as a field that is invalid", () => {
  fc.assert(
    fc.property(expressions, fc.string(), metadata, (expression, text, attached) => {
      const rule = create(ProtectionRuleSchema, { expression, reason: "r" });
      const event = create(EventSchema, {
        payload: { case: "message", value: { text } },
        metadata: attached,
      });
      try {
        expect(compileRules([rule], "rules").reasonOf(event)).toBeOneOf(["r", undefined]);
      } catch (error) {
        if (!(error instanceof InvalidFieldError)) throw error;
        expect(error.violations[0]?.field).toBe("rules[0].expression");
        expect(error.violations[0]?.description).toMatch(/^does not compile at \d+:\d+: ./);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("Protected: a rule over metadata never throws, whatever the metadata is", () => {
  const compiled = compileRules(
    [
      'event.metadata.a == true || event.metadata.a.b > 3 || event.metadata.a.exists(x, x == "y")',
      "!event.metadata.a && event.metadata == {} && event.metadata.a[0] < event.metadata.b",
    ].map((expression) => create(ProtectionRuleSchema, { expression, reason: "r" })),
    "rules",
  );
  const shaped = fc.record(
    { a: fc.jsonValue({ maxDepth: 3 }), b: fc.jsonValue({ maxDepth: 1 }) },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(shaped, (value) => {
      const attached = JSON.parse(JSON.stringify(value)) as JsonObject;
      const event = create(EventSchema, { metadata: attached });
      expect(compiled.reasonOf(event)).toBeOneOf(["r", undefined]);
    }),
    { numRuns: 1_000 },
  );
});
