import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataLossError } from "../../src/errors.ts";
import { decodeRecord, encodeRecord } from "../../src/store/records.ts";

const name = () => ({ record: "event 7", sessionUid: "the uid" });
const key = fc.uint8Array({ minLength: 1, maxLength: 40 });
const content = fc.oneof(
  fc.uint8Array({ maxLength: 3_000 }),
  // Compresses well.
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.nat(2_000))
    .map(([part, times]) => new Uint8Array(Buffer.concat(Array(times).fill(part)))),
);

describe("records", () => {
  it("give back their content", () => {
    fc.assert(
      fc.property(key, content, (k, c) => {
        expect(decodeRecord(k, encodeRecord(k, c), name)).toEqual(c);
      }),
    );
  });

  it("of long repetitive content are smaller than it", () => {
    const long = Buffer.alloc(10_000, "the same again and again ");
    expect(encodeRecord(Buffer.from("k"), long).length).toBeLessThan(1_000);
  });

  it("with any one bit changed are found damaged", () => {
    fc.assert(
      fc.property(key, content, fc.nat(), fc.nat(7), (k, c, at, bit) => {
        const value = encodeRecord(k, c);
        const place = at % value.length;
        value.writeUInt8(value.readUInt8(place) ^ (1 << bit), place);
        expect(() => decodeRecord(k, value, name)).toThrow(DataLossError);
      }),
    );
  });

  it("under another key are found damaged", () => {
    const value = encodeRecord(Buffer.from("a"), Buffer.from("content"));
    expect(() => decodeRecord(Buffer.from("b"), value, name)).toThrow(DataLossError);
  });

  it("cut short are found damaged, and the error says which record of whom", () => {
    const k = Buffer.from("k");
    const value = encodeRecord(k, Buffer.from("content"));
    for (let length = 0; length < value.length; length++) {
      expect(() => decodeRecord(k, value.subarray(0, length), name)).toThrow(
        expect.objectContaining({ details: { record: "event 7", session_uid: "the uid" } }),
      );
    }
  });
});
