import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cursorCodec, decodePageToken, encodePageToken, scopeOf } from "../src/cursor.ts";
import { CursorInvalidError, PageTokenInvalidError } from "../src/errors.ts";

const scope = scopeOf("store", "session");
const place = fc.maxSafeNat();

test("a cursor gives back its place", () => {
  fc.assert(
    fc.property(place, fc.constantFrom("session" as const, "namespace" as const), (at, kind) => {
      const codec = cursorCodec(kind, scope);
      expect(codec.decode(codec.encode(at))).toEqual({ place: at, knownThrough: at });
    }),
  );
});

test("a cursor gives back what is known through, where that lies behind its place", () => {
  const codec = cursorCodec("namespace", scope);
  fc.assert(
    fc.property(place, place, (at, known) => {
      const knownThrough = Math.max(at, known);
      expect(codec.decode(codec.encode(at, known))).toEqual({ place: at, knownThrough });
      expect(codec.encode(at, known).length).toBe(codec.encode(at).length + (known > at ? 11 : 0));
    }),
  );
});

test("a page token gives back its position, whatever the name in it", () => {
  const position = fc.string({ unit: "binary", maxLength: 60 });
  fc.assert(
    fc.property(position, (text) => {
      expect(decodePageToken(scope, encodePageToken(scope, text))).toBe(text);
    }),
  );
});

test("a page token holds the longest position there is", () => {
  const position = `253402300799999 ${"語".repeat(66)}xx`;
  expect(decodePageToken(scope, encodePageToken(scope, position))).toBe(position);
});

test("cursors and page tokens can stand in a URL", () => {
  fc.assert(
    fc.property(place, (at) => {
      expect(cursorCodec("session", scope).encode(at)).toMatch(/^[A-Za-z0-9_-]+$/);
      expect(encodePageToken(scope, String(at))).toMatch(/^[A-Za-z0-9_-]+$/);
    }),
  );
});

describe("a cursor is refused", () => {
  const codec = cursorCodec("session", scope);

  test("when any of its characters was changed", () => {
    const change = fc.record({
      at: place,
      index: fc.nat(),
      character: fc.constantFrom(..."AbZ9_-"),
    });
    fc.assert(
      fc.property(change, ({ at, index, character }) => {
        const cursor = codec.encode(at);
        // The last character has bits that carry nothing.
        const i = index % (cursor.length - 1);
        fc.pre(cursor[i] !== character);
        const changed = cursor.slice(0, i) + character + cursor.slice(i + 1);
        expect(() => codec.decode(changed)).toThrow(CursorInvalidError);
      }),
    );
  });

  test("when it was cut or has more behind it", () => {
    const cursor = codec.encode(7);
    for (let length = 0; length < cursor.length; length++) {
      expect(() => codec.decode(cursor.slice(0, length))).toThrow("malformed");
    }
    for (const more of ["AAAA", "=", " ", "\n", "\0"]) {
      expect(() => codec.decode(cursor + more)).toThrow("malformed");
    }
  });

  test("when it is anything else", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(() => codec.decode(text)).toThrow(CursorInvalidError);
      }),
    );
  });

  test("when it is of another store, session or kind, or a page token", () => {
    const foreign = [
      cursorCodec("session", scopeOf("other store", "session")).encode(7),
      cursorCodec("session", scopeOf("store", "other")).encode(7),
      cursorCodec("namespace", scope).encode(7),
      encodePageToken(scope, "12345678"),
    ];
    for (const cursor of foreign) expect(() => codec.decode(cursor)).toThrow("another store");
  });
});

test("a page token of another query is told from a damaged one", () => {
  const token = encodePageToken(scope, "7");
  expect(() => decodePageToken(scopeOf("other"), token)).toThrow("of another query");
  expect(() => decodePageToken(scope, `${token}AAAA`)).toThrow("malformed");
  expect(() => decodePageToken(scope, cursorCodec("session", scope).encode(7))).toThrow(
    PageTokenInvalidError,
  );
});

test("scopes of different parts differ, however their texts join", () => {
  const parts = fc.array(fc.string(), { maxLength: 4 });
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      fc.pre(JSON.stringify(a) !== JSON.stringify(b));
      expect(scopeOf(...a)).not.toEqual(scopeOf(...b));
    }),
  );
  expect(scopeOf("ab", "c")).not.toEqual(scopeOf("a", "bc"));
});
