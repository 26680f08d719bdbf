import { create } from "@bufbuild/protobuf";
import { EventSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import { builtinReason } from "../../../src/domain/protection/builtin.ts";

test.each([
  ["constraint", false, "explicit_constraint"],
  ["goal", false, "goal"],
  ["auth_checkpoint", false, "auth_checkpoint"],
  ["", true, "initial_objective"],
  ["agent_response", true, "initial_objective"],
  ["constraint", true, "explicit_constraint"],
  ["agent_response", false, undefined],
  ["Constraint", false, undefined],
])("Protected: kind %j, first user message %s gives %s", (kind, isFirstUserMessage, reason) => {
  expect(builtinReason(create(EventSchema, { kind }), { isFirstUserMessage })).toBe(reason);
});
