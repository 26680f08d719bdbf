import { create, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Dialect, type Event, EventSchema, Role, type WindowItem } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { overheadOf } from "../../../../src/domain/context/dialects/overhead.ts";
import { labelled } from "../../../../src/domain/context/dialects/perspective.ts";
import { isBlank } from "../../../../src/domain/context/dialects/pieces.ts";
import { render } from "../../../../src/domain/context/dialects/render.ts";
import { keptText } from "../../../support/arbitraries.ts";
import {
  assistant,
  call,
  eventOf,
  file,
  image,
  itemsOf,
  pixel,
  thinking,
  user,
} from "./support.ts";

const dialects = [
  Dialect.OPENAI_CHAT,
  Dialect.OPENAI_RESPONSES,
  Dialect.ANTHROPIC_MESSAGES,
  Dialect.GEMINI,
];

const uri = fc.oneof(
  fc.constantFrom(pixel, "https://a/b.png", "gs://a/b", "data:,", "data:image/png;base64,!"),
  keptText,
);
const mediaType = fc.constantFrom("", "image/png", "image/svg+xml", "application/pdf");
const parts = fc.array(
  fc.oneof(
    fc.tuple(uri, mediaType).map(([at, type]) => image(at, type)),
    uri.map((at) => file(at)),
  ),
  { maxLength: 2 },
);
const args = fc.oneof(fc.json(), keptText, fc.constantFrom("", "{", '{"a":1e999}', '"\\ud800"'));
const raw = fc.option(
  fc.record({
    format: fc.constantFrom("openai-responses", "anthropic-messages", "gemini", "else"),
    json: fc.oneof(
      fc.json(),
      fc.constantFrom(
        '{"type":"reasoning","id":"rs","encrypted_content":"x"}',
        '{"type":"redacted_thinking","data":"x"}',
        '{"thoughtSignature":"c2ln"}',
        "{",
      ),
    ),
  }),
  { nil: undefined },
);
const id = fc.oneof(fc.constantFrom("a", "b", "call 1", "x".repeat(70)), keptText);

/** A user's message, or a system's in the middle. */
const told = fc
  .tuple(keptText, parts, fc.constantFrom(Role.USER, Role.SYSTEM, Role.TOOL, Role.UNSPECIFIED))
  .map(([text, more, role]) => [
    user(text, { role, payload: { case: "message", value: { text, parts: more } } }),
  ]);

const custom = fc.tuple(keptText, fc.double()).map(([type, value]) => [
  eventOf({
    payload: {
      case: "custom",
      value: { type, value: { kind: { case: "numberValue", value } } },
    },
  }),
]);

/** A response: thinking, texts, calls, and one final result for each, with what may stand between. */
const responded = fc
  .record({
    thought: fc.option(fc.tuple(keptText, fc.constantFrom("", "sig"), raw)),
    texts: fc.array(keptText, { maxLength: 2 }),
    calls: fc.array(fc.record({ id, name: keptText, args, raw, content: keptText, parts }), {
      maxLength: 3,
    }),
    author: fc.oneof(fc.constant(""), keptText),
    approval: fc.boolean(),
    progress: fc.boolean(),
  })
  .map(({ thought, texts, calls, author, approval, progress }): Event[] => [
    ...(thought === null
      ? []
      : [thinking(thought[0], thought[1], { author, ...(thought[2] && { raw: thought[2] }) })]),
    ...texts.map((text) => assistant(text, { author })),
    ...calls.map((made) =>
      call(made.id, made.name, made.args, { author, ...(made.raw && { raw: made.raw }) }),
    ),
    ...(approval
      ? [eventOf({ payload: { case: "approvalRequest", value: { approvalId: "p", callId: "a" } } })]
      : []),
    ...calls.flatMap((made) => {
      const value = { callId: made.id, content: made.content };
      const answer = (isFinal: boolean) =>
        eventOf({
          payload: { case: "toolResult", value: { ...value, isFinal, parts: made.parts } },
        });
      return progress ? [answer(false), answer(true)] : [answer(true)];
    }),
  ]);

const items: fc.Arbitrary<WindowItem[]> = fc
  .array(fc.oneof({ weight: 3, arbitrary: responded }, { weight: 2, arbitrary: told }, custom), {
    maxLength: 8,
  })
  .map((groups) => groups.flatMap((events, index) => events.map((event) => ({ event, index }))))
  .map((placed) => itemsOf(...placed.map(({ event, index }) => ({ ...event, group: index + 1 }))));

test("rendering is total and deterministic, and what it makes can be read back from the wire", () => {
  fc.assert(
    fc.property(items, fc.constantFrom(...dialects), (list, dialect) => {
      const made = render(dialect, list);
      expect(made).toBeDefined();
      expect(render(dialect, structuredClone(list))).toEqual(made);
      const value = fromJson(ValueSchema, made ?? null);
      expect(() => toBinary(ValueSchema, value)).not.toThrow();
      expect(() => toJson(ValueSchema, value)).not.toThrow();
    }),
    { numRuns: 300 },
  );
});

test("a text that is not blank is one string of the request, byte for byte", () => {
  fc.assert(
    fc.property(items, keptText, fc.constantFrom(...dialects), (list, text, dialect) => {
      fc.pre(!isBlank(text));
      const made = render(dialect, [...list, ...itemsOf(user(text, { group: 99 }))]);
      expect(JSON.stringify(made)).toContain(JSON.stringify(text));
    }),
  );
});

test("overhead and labels are total over everything a window may hold", () => {
  fc.assert(
    fc.property(items, fc.constantFrom(...dialects), (list, dialect) => {
      for (const { event = create(EventSchema) } of list) {
        expect(overheadOf(dialect, event)).toBeGreaterThanOrEqual(0);
        expect(Number.isInteger(overheadOf(dialect, labelled(event, "")))).toBe(true);
      }
    }),
  );
});

test("without a dialect nothing is rendered", () => {
  expect(render(Dialect.UNSPECIFIED, itemsOf(user("hi")))).toBeUndefined();
});
