import { create, fromJson, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { SessionSchema, ToolSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import {
  countInstructions,
  instructionsText,
  toolText,
} from "../../../src/domain/context/instructions.ts";
import { characterCounter } from "../../support/domain.ts";

function session(init: MessageInitShape<typeof SessionSchema>) {
  return create(SessionSchema, init);
}

function withContext(context: JsonValue) {
  return session({ context: fromJson(ValueSchema, context) });
}

test("instructions, goal and context come in this order, each only if it is there", () => {
  const all = session({
    systemInstructions: "Be brief.",
    goal: "Book a flight.",
    context: fromJson(ValueSchema, "The user is in Oslo."),
  });
  expect(instructionsText(all)).toBe(
    "Be brief.\n\n# Goal\n\nBook a flight.\n\n# Context\n\nThe user is in Oslo.",
  );
  expect(instructionsText(session({ goal: "Book a flight." }))).toBe("# Goal\n\nBook a flight.");
  expect(instructionsText(session({ systemInstructions: "Be brief." }))).toBe("Be brief.");
  expect(instructionsText(session({}))).toBe("");
});

test("a text as context stands as it is, a structure as JSON, a reference stays one", () => {
  expect(instructionsText(withContext('a "text"\n'))).toBe('# Context\n\na "text"\n');
  const structure = { user: { id: 7, tags: ["a", null, true] } };
  expect(instructionsText(withContext(structure))).toBe(
    `# Context\n\n${JSON.stringify(structure)}`,
  );
  const reference = { file: "file:///notes.md" };
  expect(instructionsText(withContext(reference))).toContain('{"file":"file:///notes.md"}');
  expect(instructionsText(withContext(0))).toBe("# Context\n\n0");
});

test("a context of nothing is none", () => {
  expect(instructionsText(withContext(null))).toBe("");
  expect(instructionsText(withContext(""))).toBe("");
  expect(instructionsText(session({ context: {} }))).toBe("");
});

test("a tool is JSON of what it has", () => {
  const tool = create(ToolSchema, {
    name: "find",
    description: "Finds flights.",
    inputSchema: { type: "object", properties: { from: { type: "string" } } },
  });
  expect(JSON.parse(toolText(tool))).toEqual({
    name: "find",
    description: "Finds flights.",
    parameters: { type: "object", properties: { from: { type: "string" } } },
  });
  expect(toolText(create(ToolSchema, { name: "stop" }))).toBe('{"name":"stop"}');
});

test("instructions and tools are counted apart, and nothing counts 0", async () => {
  const tools = [create(ToolSchema, { name: "find" }), create(ToolSchema, { name: "stop" })];
  const both = session({ systemInstructions: "Be brief.", tools });
  expect(await countInstructions(characterCounter, both, "o200k_base")).toEqual({
    instructionTokens: 9,
    toolTokens: 2 * '{"name":"find"}'.length,
  });
  expect(await countInstructions(characterCounter, session({}), "o200k_base")).toEqual({
    instructionTokens: 0,
    toolTokens: 0,
  });
});
