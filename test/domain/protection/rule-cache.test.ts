import { create } from "@bufbuild/protobuf";
import { ProtectionRuleSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { RuleCache } from "../../../src/domain/protection/rule-cache.ts";
import { InvalidFieldError } from "../../../src/errors.ts";

function rule(expression: string, reason = "r") {
  return create(ProtectionRuleSchema, { expression, reason });
}

test("lists with the same content are compiled once", () => {
  const cache = new RuleCache();
  const first = cache.compile([rule("event.turn == 1"), rule("true")], "a");
  expect(cache.compile([rule("event.turn == 1"), rule("true")], "b")).toBe(first);
  expect(cache.compile([rule("true"), rule("event.turn == 1")], "a")).not.toBe(first);
  expect(cache.compile([rule("event.turn == 1", "other"), rule("true")], "a")).not.toBe(first);
});

test("Bounded: the list that was not used for longest goes first", () => {
  const cache = new RuleCache({ limitLength: 60 });
  const compile = (turn: number) => cache.compile([rule(`event.turn == ${turn}`)], "a");
  const [first, second] = [compile(1), compile(2)];
  expect(compile(1)).toBe(first);
  compile(3);
  expect(compile(1)).toBe(first);
  expect(compile(2)).not.toBe(second);
});

test("a list that does not compile is refused each time, with the path of the call", () => {
  const cache = new RuleCache();
  for (const field of ["a", "b"]) {
    expect(() => cache.compile([rule("(")], field)).toThrow(
      new InvalidFieldError({
        field: `${field}[0].expression`,
        description: "does not compile at 1:2: it ends too early",
      }),
    );
  }
});
