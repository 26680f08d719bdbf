import fc from "fast-check";
import { expect, test } from "vitest";
import { elementSlices, memberSlices } from "../../../src/cli/import/json-slices.ts";

const space = fc.constantFrom("", " ", "\n\t", "\r\n ");
const spaced = fc
  .tuple(fc.json(), space, space)
  .map(([json, a, b]) => ({ json, text: a + json + b }));

test("slices of a list are its elements, byte for byte", () => {
  fc.assert(
    fc.property(fc.array(spaced), space, (elements, inner) => {
      const text = `[${elements.map((element) => element.text).join(",") || inner}]`;
      const slices = elementSlices(text, 0).map(({ start, end }) => text.slice(start, end));
      expect(slices).toEqual(elements.map((element) => element.json));
    }),
  );
});

test("slices of an object are its members, and of a repeated key the last as in JSON.parse", () => {
  const member = fc.tuple(fc.constantFrom("a", "b", "mess\\u0061ges", 'q\\"'), spaced);
  fc.assert(
    fc.property(fc.array(member), (members) => {
      const text = `{${members.map(([key, { text }]) => `"${key}" : ${text}`).join(",")}}`;
      const slices = memberSlices(text, 0);
      const found = [...slices].map(([key, { start, end }]) => [key, text.slice(start, end)]);
      const parsed = JSON.parse(text) as Record<string, unknown>;
      expect(Object.fromEntries(found.map(([key, json = ""]) => [key, JSON.parse(json)]))).toEqual(
        parsed,
      );
      for (const [, json] of found) expect(members.map(([, value]) => value.json)).toContain(json);
    }),
  );
});
