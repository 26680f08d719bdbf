import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  consumerKey,
  deadlineKey,
  eventKey,
  indexKey,
  indexPrefix,
  logKey,
  MAX_KEY_BYTES,
  namespacePrefix,
  parseConsumerKey,
  parseDeadlineKey,
  parseEventKey,
  parseIndexKey,
  parseLogKey,
  prefixEnd,
  requestKey,
  sessionKey,
  stateKey,
  uidBytes,
  uidText,
} from "../../src/store/keys.ts";
import type { SessionIndex, StateScope } from "../../src/store/store.ts";

const text = fc.string({ unit: "binary", maxLength: 50 }).filter((value) => value.isWellFormed());
const namespace = text.filter((value) => Buffer.byteLength(value) <= 64);
const uid = fc.uuid();
const number = fc.maxSafeNat();
const revision = fc.nat(0xffff_ffff);
const position = fc.record({ createTimeMs: number, sessionId: text });
const index: fc.Arbitrary<SessionIndex> = fc.oneof(
  fc.constant({ by: "all" as const }),
  fc.nat(20).map((value) => ({ by: "state" as const, value })),
  text.map((value) => ({ by: "agent" as const, value })),
  text.map((value) => ({ by: "user" as const, value })),
  uid.map((value) => ({ by: "parent" as const, value })),
);

const stateScope: fc.Arbitrary<StateScope> = fc.oneof(
  namespace.map((ns) => ({ of: "app" as const, namespace: ns })),
  fc.record({ of: fc.constant("user" as const), namespace, userId: text }),
  fc.record({ of: fc.constant("session" as const), namespace, uid }),
);

/** Sign of a comparison, so that two kinds of order can be compared. */
function order(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

describe("keys", () => {
  it("give back what they were made of", () => {
    fc.assert(
      fc.property(uid, revision, namespace, number, text, (id, rev, ns, n, sessionId) => {
        expect(uidText(uidBytes(id))).toBe(id);
        expect(parseEventKey(eventKey({ uid: id, revision: rev }))).toEqual({
          uid: id,
          revision: rev,
        });
        expect(parseLogKey(logKey({ namespace: ns, offset: n }))).toEqual({
          namespace: ns,
          offset: n,
        });
        const deadline = { dueMs: n, key: { namespace: ns, sessionId, uid: id } };
        expect(parseDeadlineKey(deadlineKey(deadline))).toEqual(deadline);
      }),
    );
    fc.assert(
      fc.property(namespace, index, position, (ns, i, p) => {
        const parts = { namespace: ns, index: i, position: p };
        expect(parseIndexKey(indexKey(parts))).toEqual(parts);
      }),
    );
  });

  it.each([
    "",
    "0198a9c0-6f7e-7a31-b1c2-d3e4f5a6b7c",
    "0198A9C0-6F7E-7A31-B1C2-D3E4F5A6B7C8",
    "0198a9c06f7e7a31b1c2d3e4f5a6b7c8",
    "0198a9c0-6f7e-7a31-b1c2-d3e4f5a6b7c8\n",
    "0198a9c0-6f7e-7a31-b1c2-d3e4f5a6b7cg",
  ])("are not made of %j, which is no UUID", (text) => {
    expect(() => uidBytes(text)).toThrow("is no UUID");
  });

  it("of events, logs, deadlines and lists are in the order of their numbers", () => {
    fc.assert(
      fc.property(uid, revision, revision, (id, a, b) => {
        const key = (rev: number) => eventKey({ uid: id, revision: rev });
        expect(Buffer.compare(key(a), key(b))).toBe(order(a, b));
      }),
    );
    fc.assert(
      fc.property(namespace, index, number, number, text, text, uid, (ns, i, a, b, x, y, id) => {
        const log = (offset: number) => logKey({ namespace: ns, offset });
        expect(Buffer.compare(log(a), log(b))).toBe(order(a, b));
        const deadline = (dueMs: number, sessionId: string) =>
          deadlineKey({ dueMs, key: { namespace: ns, sessionId, uid: id } });
        if (a !== b) expect(Buffer.compare(deadline(a, x), deadline(b, y))).toBe(order(a, b));
        const list = (createTimeMs: number, sessionId: string) =>
          indexKey({ namespace: ns, index: i, position: { createTimeMs, sessionId } });
        if (a !== b) expect(Buffer.compare(list(a, x), list(b, y))).toBe(order(a, b));
        else
          expect(Buffer.compare(list(a, x), list(a, y))).toBe(Buffer.compare(bytes(x), bytes(y)));
      }),
    );
  });

  it("of one list begin with its prefix, and those of others do not", () => {
    fc.assert(
      fc.property(namespace, namespace, index, index, position, (a, b, i, j, p) => {
        const prefix = indexPrefix(a, i);
        const within = (key: Buffer) =>
          Buffer.compare(key, prefix) >= 0 && Buffer.compare(key, prefixEnd(prefix)) < 0;
        expect(within(indexKey({ namespace: a, index: i, position: p }))).toBe(true);
        const same = a === b && JSON.stringify(i) === JSON.stringify(j);
        expect(within(indexKey({ namespace: b, index: j, position: p }))).toBe(same);
      }),
    );
  });

  it("of different names differ", () => {
    fc.assert(
      fc.property(namespace, text, namespace, text, (a, x, b, y) => {
        fc.pre(a !== b || x !== y);
        const first = sessionKey({ namespace: a, sessionId: x });
        expect(first.equals(sessionKey({ namespace: b, sessionId: y }))).toBe(false);
      }),
    );
  });

  it("of states tell every scope apart", () => {
    fc.assert(
      fc.property(stateScope, stateScope, (a, b) => {
        const same = JSON.stringify(a) === JSON.stringify(b);
        expect(stateKey(a).equals(stateKey(b))).toBe(same);
      }),
    );
    const uidOf = "01990000-0000-7000-8000-000000000001";
    const userId = uidBytes(uidOf).toString("latin1");
    const session = stateKey({ of: "session", namespace: "n", uid: uidOf });
    expect(session.equals(stateKey({ of: "user", namespace: "n", userId }))).toBe(false);
  });

  it("of consumers come back as they went in, and lie within their namespace alone", () => {
    fc.assert(
      fc.property(namespace, text, namespace, (a, name, b) => {
        fc.pre(name !== "");
        const key = consumerKey({ namespace: a, name });
        expect(parseConsumerKey(key)).toEqual({ namespace: a, name });
        const prefix = namespacePrefix(b);
        expect(key.subarray(0, prefix.length).equals(prefix)).toBe(a === b);
      }),
    );
  });

  it("of requests tell every part apart", () => {
    const key = (sessionId: string, requestId: string) =>
      requestKey({ namespace: "n", sessionId, requestId });
    expect(key("a", "bc")).toHaveLength(16);
    expect(key("a", "bc")).toEqual(key("a", "bc"));
    expect(key("a", "bc")).not.toEqual(key("ab", "c"));
  });

  it("refuse what has no place in the order", () => {
    expect(() => uidBytes("no uuid")).toThrow(RangeError);
    expect(() => uidBytes("0199D0C6-0000-7000-8000-000000000000")).toThrow(RangeError);
    expect(() => logKey({ namespace: "n", offset: -1 })).toThrow(RangeError);
    expect(() => logKey({ namespace: "n", offset: 1.5 })).toThrow(RangeError);
    expect(() => sessionKey({ namespace: "n".repeat(256), sessionId: "s" })).toThrow(RangeError);
    expect(() => sessionKey({ namespace: "n", sessionId: "s".repeat(MAX_KEY_BYTES) })).toThrow(
      RangeError,
    );
    expect(() => parseEventKey(Buffer.alloc(19))).toThrow(RangeError);
    expect(() => parseEventKey(Buffer.alloc(21))).toThrow(RangeError);
    expect(() => prefixEnd(Buffer.from([0xff, 0xff]))).toThrow(RangeError);
  });
});

function bytes(value: string): Buffer {
  return Buffer.from(value);
}
