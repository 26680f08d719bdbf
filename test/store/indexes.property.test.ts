import { SessionParentKind, SessionState } from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { derive } from "../../src/store/indexes.ts";
import type { Change, StoredSession } from "../../src/store/store.ts";
import {
  addition,
  childOf,
  creation,
  deletion,
  keyOf,
  type SessionFields,
  storedSession,
} from "./support.ts";

const UID = "01990000-0000-7000-8000-000000000001";
const PARENT = "01990000-0000-7000-8000-000000000002";

const fields: fc.Arbitrary<SessionFields> = fc.record({
  uid: fc.constant(UID),
  state: fc.constantFrom(SessionState.ACTIVE, SessionState.FAILED),
  agentId: fc.constantFrom("", "a", "b"),
  userId: fc.constantFrom("", "u"),
  parent: fc.constantFrom(childOf(""), childOf(PARENT), childOf(PARENT, SessionParentKind.FORK)),
  createTimeMs: fc.constant(5),
  expireTimeMs: fc.option(fc.nat(3), { nil: undefined }) as fc.Arbitrary<number>,
});

function hex(keys: Iterable<Uint8Array>): string[] {
  return [...keys].map((key) => Buffer.from(key).toString("hex"));
}

function change(before: StoredSession | undefined, after: StoredSession): Change {
  return { key: keyOf(after), ...(before && { before }), after, events: [] };
}

describe("what is derived from a change", () => {
  it("leads step by step to what the last state alone would have", () => {
    fc.assert(
      fc.property(fc.array(fields, { minLength: 1, maxLength: 6 }), (states) => {
        const keys = new Set<string>();
        let before: StoredSession | undefined;
        for (const state of states) {
          const after = storedSession(state);
          const { indexes, deadlines } = derive(change(before, after));
          for (const key of hex([...indexes.removes, ...deadlines.removes])) {
            expect(keys.delete(key)).toBe(true);
          }
          for (const key of hex([...indexes.puts, ...deadlines.puts])) {
            expect(keys.has(key)).toBe(false);
            keys.add(key);
          }
          before = after;
        }
        if (before === undefined) return;
        const fresh = derive(change(undefined, before));
        expect([...keys].sort()).toEqual(
          hex([...fresh.indexes.puts, ...fresh.deadlines.puts]).sort(),
        );
        const gone = derive({ key: keyOf(before), before, events: [] });
        expect(hex([...gone.indexes.removes, ...gone.deadlines.removes]).sort()).toEqual(
          [...keys].sort(),
        );
      }),
    );
  });

  it("from an append is only an entry in the log", () => {
    const { indexes, deadlines, logEntries } = derive(addition(creation({ agentId: "a" }, 2), 3));
    expect([indexes, deadlines].map(({ puts, removes }) => puts.length + removes.length)).toEqual([
      0, 0,
    ]);
    expect(logEntries).toMatchObject([{ firstRevision: 3, lastRevision: 5, deleted: false }]);
  });

  it("from the deletion of an empty session says that it had no revisions", () => {
    const { logEntries } = derive(deletion(creation({}, 0)));
    expect(logEntries).toMatchObject([{ firstRevision: 0, lastRevision: 0, deleted: true }]);
  });
});
