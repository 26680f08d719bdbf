import fc from "fast-check";
import { expect, test } from "vitest";
import { termsOf } from "../../../../src/domain/context/retrieve/terms.ts";

const terms = (text: string) => [...termsOf(text)];

test("words are found in all their forms", () => {
  expect(terms("Payments")).toEqual(terms("pay".concat("ment")));
  expect(terms("connecting connected connects")).toEqual(["connect", "connect", "connect"]);
  expect(terms("bought")).toEqual(terms("buy"));
  expect(terms("children")).toEqual(terms("child"));
});

test("small words are left out, negations stay", () => {
  expect(terms("What is the port of it?")).toEqual(["port"]);
  expect(terms("never not no without")).toHaveLength(4);
  expect(terms("Don't")).toEqual(["dont"]);
  expect(terms("I'd say we'll")).toEqual(["sai"]);
});

test("names in camel case and snake case are found by their parts", () => {
  expect(terms("contextWindow")).toEqual(["context", "window", "contextwindow"]);
  expect(terms("HTTPServer")).toEqual(["http", "server", "httpserver"]);
  expect(terms("order_id")).toEqual(["order", "id", "order_id"]);
});

test.each([
  "src/domain/app.ts",
  "hx-4471-b",
  "v1.2.3",
  "2031-05-15",
  "anna.b@example.com",
  "10.0.0.17:8080",
])("%s is found whole", (id) => {
  expect(terms(`see ${id}, please`)).toContain(id);
  expect(terms(`(${id.toUpperCase()})`)).toContain(id);
});

test("parts of an id lead to it", () => {
  expect(terms("HX-4471-B")).toContain("4471");
  expect(terms("src/domain/app.ts")).toContain("domain");
});

test("thousands separators do not matter", () => {
  expect(terms("1,299,000")).toContain("1299000");
  expect(terms("1299000")).toEqual(["1299000"]);
});

test("marks that are no accents stay", () => {
  expect(terms("கா")).not.toEqual(terms("க"));
});

test("accents and possessives do not matter", () => {
  expect(terms("Café")).toEqual(terms("cafe"));
  expect(terms("Anna’s")).toEqual(terms("Anna"));
});

test("Chinese and Japanese are found by pairs of characters", () => {
  expect(terms("日本旅行")).toEqual(["日本", "本旅", "旅行"]);
  expect(terms("去")).toEqual(["去"]);
  expect(terms("カナ abc")).toEqual(["カナ", "abc"]);
});

test("characters beyond U+FFFF are not cut", () => {
  for (const term of terms("𠀀𠀁𠀂")) expect(term.isWellFormed()).toBe(true);
});

test("any text has terms that are short, in lower case and without white space", () => {
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), fc.lorem());
  fc.assert(
    fc.property(text, (text) => {
      for (const term of terms(text)) {
        expect(term).not.toBe("");
        expect(term).toBe(term.toLowerCase());
        expect(term).not.toMatch(/\s/);
        expect(term.length).toBeLessThan(2_000);
      }
    }),
  );
});

test.each(["a", "我", "a-", "aB1", "é", ",:'"])(
  "a long run of %s has no more terms than characters",
  (unit) => {
    const text = unit.repeat(20_000);
    expect(terms(text).length).toBeLessThan(text.length * 1.5);
  },
);
