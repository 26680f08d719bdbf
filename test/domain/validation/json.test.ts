import { create, fromJson, type JsonObject, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { StructSchema, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkStruct, checkValue } from "../../../src/domain/validation/json.ts";
import { limits } from "../../../src/limits.ts";
import { jsonValue, nested } from "../../support/arbitraries.ts";

function complaints(check: (report: (field: string, description: string) => void) => void) {
  const found: string[] = [];
  check((field, description) => found.push(`${field} ${description}`));
  return found;
}

const ofStruct = (struct: JsonObject, maxBytes?: number) =>
  complaints((report) => checkStruct(struct, maxBytes, "f", report));
const ofValue = (value: Value, maxBytes?: number) =>
  complaints((report) => checkValue(value, maxBytes, "f", report));
const toValue = (json: JsonValue) => fromJson(ValueSchema, json);

const tame = jsonValue({ percent: 0 });

describe("the size of a structure is its size in binary form", () => {
  test("for a Value", () => {
    fc.assert(
      fc.property(tame, (json) => {
        const value = toValue(json);
        const bytes = toBinary(ValueSchema, value).length;
        expect(ofValue(value, bytes)).toEqual([]);
        if (bytes > 0) expect(ofValue(value, bytes - 1)).toHaveLength(1);
      }),
    );
  });

  test("for a Struct", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), tame, { minKeys: 1, maxKeys: 4 }), (struct) => {
        const bytes = toBinary(StructSchema, fromJson(StructSchema, struct)).length;
        expect(ofStruct(struct, bytes)).toEqual([]);
        expect(ofStruct(struct, bytes - 1)).toHaveLength(1);
      }),
    );
  });

  test("where lengths take more than one byte", () => {
    for (const length of [127, 128, 16_383, 16_384, 200_000]) {
      const struct = { k: ["x".repeat(length)] };
      const bytes = toBinary(StructSchema, fromJson(StructSchema, struct)).length;
      expect(ofStruct(struct, bytes)).toEqual([]);
      expect(ofStruct(struct, bytes - 1)).toEqual([expect.stringContaining(`has ${bytes} bytes`)]);
    }
  });
});

describe("levels", () => {
  const most = limits.structDepth;

  test("a Struct may have as many objects inside one another as the limit says", () => {
    expect(ofStruct({ k: nested(1, most - 1) })).toEqual([]);
    expect(ofStruct({ k: nested({}, most - 2) })).toEqual([]);
    expect(ofStruct({ k: nested(1, most) })).toEqual([expect.stringContaining("deeper")]);
    expect(ofStruct({ k: nested({}, most - 1) })).toEqual([expect.stringContaining("deeper")]);
    expect(ofStruct({ k: nested([], most - 1) })).toEqual([expect.stringContaining("deeper")]);
  });

  test.each([false, true])("a Value counts as a level itself (lists: %s)", (lists) => {
    expect(ofValue(toValue(nested(1, most - 1, lists)))).toEqual([]);
    expect(ofValue(toValue(nested(1, most, lists)))).toEqual([expect.stringContaining("deeper")]);
    expect(ofValue(toValue(nested([], most - 1, lists)))).toHaveLength(1);
  });

  test("no depth exhausts the stack", () => {
    let json: JsonValue = 1;
    for (let level = 0; level < 1_000_000; level++) json = [json];
    expect(ofStruct({ k: json })).toEqual([expect.stringContaining("deeper")]);
  });

  test("siblings do not add up", () => {
    const wide = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`k${i}`, nested(1, 20)]),
    );
    expect(ofStruct(wide)).toEqual([]);
  });
});

describe("what JSON cannot carry", () => {
  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%s", (number) => {
    expect(ofStruct({ k: [number] })).toEqual([expect.stringContaining("finite")]);
    expect(ofValue(toValue([number]))).toEqual([expect.stringContaining("finite")]);
  });

  test("half of a surrogate pair, as a text and as a key", () => {
    for (const json of [{ k: "\ud800" }, { "\udc00": 1 }]) {
      expect(ofStruct(json)).toEqual([expect.stringContaining("surrogate")]);
      expect(ofValue(toValue(json))).toEqual([expect.stringContaining("surrogate")]);
    }
  });

  test("a Value of no kind, at any place", () => {
    const empty = create(ValueSchema);
    const inList = create(ValueSchema, { kind: { case: "listValue", value: { values: [empty] } } });
    for (const value of [empty, inList]) {
      expect(ofValue(value)).toEqual([expect.stringContaining("use null")]);
    }
  });
});
