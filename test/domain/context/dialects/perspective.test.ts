import { create } from "@bufbuild/protobuf";
import { ProtectionSchema, Role } from "@sessiond/contract";
import { expect, test } from "vitest";
import { labelled } from "../../../../src/domain/context/dialects/perspective.ts";
import { assistant, call, eventOf, failure, image, result, thinking } from "./support.ts";

const author = "researcher";

test.each([
  [assistant("It was moved.", { author }), "[researcher] said: It was moved."],
  [thinking("hm", "", { author }), "[researcher] thought: hm"],
  [call("a", "search", '{"q":"x"}', { author }), '[researcher] called search with {"q":"x"}'],
  [result("a", "3 hits", { author }), "[researcher]'s search answered: 3 hits"],
  [result("a", "3 hits"), "[search] answered: 3 hits"],
  [failure("a", "timeout"), "[search] failed: timeout"],
  [
    eventOf({ author, payload: { case: "output", value: { text: "Done." } } }),
    "[researcher] said: Done.",
  ],
  [assistant("Hello."), "[another agent] said: Hello."],
])("another agent's event is a text of the user's side, with a label", (event, text) => {
  expect(labelled(event, "search")).toMatchObject({
    role: Role.USER,
    payload: { case: "message", value: { text } },
  });
});

test("a labelled event keeps its place, protection and images, and nothing that is no longer true", () => {
  const event = assistant("", {
    revision: 7,
    group: 5,
    author,
    protection: create(ProtectionSchema, { reason: "goal" }),
    tokens: { count: 9 },
    raw: { format: "openai-chat", json: "{}" },
    payload: { case: "message", value: { text: "see", parts: [image("https://example.com/a")] } },
  });
  const label = labelled(event, "");
  expect(label).toMatchObject({ revision: 7, group: 5, author, protection: { reason: "goal" } });
  expect(label).toMatchObject({ payload: { value: { parts: [{ content: { case: "image" } }] } } });
  expect([label.tokens, label.raw]).toEqual([undefined, undefined]);
  expect(event.raw?.format).toBe("openai-chat");
});

test("what is nobody's voice is not labelled", () => {
  const event = eventOf({ payload: { case: "custom", value: { type: "note" } } });
  expect(labelled(event, "")).toBe(event);
});
