import type { JsonValue } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import type { Validator } from "./validators.ts";

/** A request that breaks a rule, and one beside it that does not. */
export interface RuleCase {
  readonly refused: JsonValue;
  readonly passes: JsonValue;
}

/** Tests that a validator refuses what breaks each of its rules, and nothing beside it. */
export function testRules(
  { rules, validate }: Validator,
  cases: Readonly<Record<string, RuleCase>>,
): void {
  describe.each(Object.entries(cases))("%s", (rule, { refused, passes }) => {
    it(`refuses what breaks it: ${rules[rule]}`, () => {
      expect(validate(refused).map((violation) => violation.rule)).toContain(rule);
    });

    it("lets its legal neighbour pass", () => {
      expect(validate(passes)).toEqual([]);
    });
  });
}
