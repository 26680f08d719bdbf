import type { JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { scopedPatch } from "../../../src/domain/state/keys.ts";
import { patched, stateView } from "../../../src/domain/state/values.ts";
import { InvalidFieldError } from "../../../src/errors.ts";

/** What a patch of one key is refused with. */
function refusal(key: string): string {
  try {
    scopedPatch(Object.fromEntries([[key, 1]]));
  } catch (error) {
    if (error instanceof InvalidFieldError) return error.message;
    throw error;
  }
  throw new Error(`"${key}" was taken`);
}

describe("a key", () => {
  test("belongs to the scope of its prefix, and without one to the session", () => {
    const { session, user, app, temp } = scopedPatch({
      theme: "dark",
      "user:locale": "de",
      "app:version": 2,
      "temp:token": "x",
    });
    expect([...session]).toEqual([["theme", "dark"]]);
    expect([...user]).toEqual([["locale", "de"]]);
    expect([...app]).toEqual([["version", 2]]);
    expect([...temp]).toEqual([["token", "x"]]);
  });

  test.each([
    "order:17",
    "users:count",
    "http://example.org",
    ":x",
    "a:user:x",
    "constructor",
    "toString",
    "proto__",
    "ключ",
    "x".repeat(200),
    "user",
  ])("%s is one of the session", (key) => {
    expect([...scopedPatch({ [key]: 1 }).session]).toEqual([[key, 1]]);
  });

  test("of a user may have a colon, too", () => {
    expect([...scopedPatch({ "user:app:x": 1 }).user]).toEqual([["app:x", 1]]);
    expect([...scopedPatch({ [`user:${"x".repeat(200)}`]: 1 }).user]).toHaveLength(1);
  });

  test.each([
    ["", 'patch[""]: needs a name'],
    ["user:", 'patch["user:"]: needs a name behind "user:"'],
    ["temp:", 'patch["temp:"]: needs a name behind "temp:"'],
    ["sessiond:x", 'names that begin with "sessiond:" are reserved'],
    ["user:sessiond:x", 'names that begin with "sessiond:" are reserved'],
    ["__proto__", 'names that begin with "__proto__" are reserved'],
    ["app:__proto__", 'names that begin with "__proto__" are reserved'],
    ["temp:__proto__", 'names that begin with "__proto__" are reserved'],
    ["User:locale", 'the prefix is written "user:"'],
    ["APP:x", 'the prefix is written "app:"'],
    [" user:locale", 'the prefix is written "user:"'],
    ["user :locale", 'the prefix is written "user:"'],
    ["Temp:x", 'the prefix is written "temp:"'],
    ["session:theme", "keys of the session have no prefix"],
    ["x".repeat(201), "its name has 201 bytes, the limit is 200"],
    ["é".repeat(101), "its name has 202 bytes"],
    [" x", "its name must be printable"],
    ["user: x", "its name must be printable"],
    ["a\nb", "its name must be printable"],
    ["a\0b", "its name must be printable"],
  ])("%j is refused", (key, says) => {
    expect(refusal(key)).toContain(says);
  });

  test("that is wrong is named, each of them, and so are too many", () => {
    try {
      scopedPatch({ ok: 1, "user:": 1, "App:x": 1 });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({
        violations: [{ field: 'patch["user:"]' }, { field: 'patch["App:x"]' }],
      });
    }
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]));
    expect(scopedPatch(many(256)).session.size).toBe(256);
    expect(() => scopedPatch(many(257))).toThrow("patch: has 257 keys, the limit is 256");
  });
});

describe("a view", () => {
  test("has the names of objects as keys like any other", () => {
    const odd = JSON.parse('{"constructor":1,"toString":2,"hasOwnProperty":3}') as JsonObject;
    const values = patched({}, scopedPatch(odd).session);
    const state = stateView({ session: { values, version: "v", $typeName: typeName } });
    expect(state).toEqual(odd);
    expect(Object.getPrototypeOf(state)).toBe(Object.prototype);
    expect({}.toString).toBe(Object.prototype.toString);
  });

  test("puts every key back under the prefix it came with", () => {
    const key = fc
      .tuple(fc.constantFrom("", "user:", "app:", "temp:"), fc.stringMatching(/^[a-f]{1,2}$/))
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.dictionary(key, fc.integer()), (patch) => {
        const scopes = scopedPatch(patch);
        const record = (scope: "session" | "user" | "app") => ({
          $typeName: typeName,
          values: patched({}, scopes[scope]),
          version: "v",
        });
        const records = { session: record("session"), user: record("user"), app: record("app") };
        expect(stateView(records, patched({}, scopes.temp))).toEqual({ ...patch });
      }),
    );
  });
});

const typeName = "sessiond.store.v1.StateRecord" as const;
