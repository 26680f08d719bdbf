import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema } from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { patch, recorded, seen } from "./support.ts";

/** Sessions by id, and whose they are; the namespace is one. */
const users: Readonly<Record<string, string>> = { s0: "ann", s1: "ann", s2: "bob", s3: "" };
const ids = Object.keys(users);

type Move =
  | { readonly do: "patch"; readonly id: string; readonly values: JsonObject }
  | { readonly do: "append"; readonly id: string }
  | { readonly do: "recreate"; readonly id: string }
  | { readonly do: "settle" };

const id = fc.constantFrom(...ids);
const key = fc
  .tuple(fc.constantFrom("", "user:", "app:", "temp:"), fc.constantFrom("a", "b", "constructor"))
  .map((parts) => parts.join(""));
const value: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constant(null),
  fc.nat(9),
  fc.constant<JsonValue>({ deep: [null, "x"] }),
);
const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.tuple(id, fc.dictionary(key, value, { maxKeys: 4 })).map(([session, values]) => ({
      do: "patch" as const,
      id: session,
      // A session without a user takes no keys of one.
      values: users[session] === "" ? without(values, "user:") : { ...values },
    })),
  },
  { weight: 3, arbitrary: id.map((session) => ({ do: "append" as const, id: session })) },
  { weight: 1, arbitrary: id.map((session) => ({ do: "recreate" as const, id: session })) },
  { weight: 4, arbitrary: fc.constant({ do: "settle" as const }) },
);

function without(values: JsonObject, prefix: string): JsonObject {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !name.startsWith(prefix)));
}

/** Last write wins, by scope: nothing but a map from a full name to a value. */
class Model {
  readonly #values = new Map<string, JsonValue>();

  patch(session: string, values: JsonObject): void {
    for (const [name, next] of Object.entries(values)) {
      if (name.startsWith("temp:")) continue;
      const full = this.#full(session, name);
      if (next === null) this.#values.delete(full);
      else this.#values.set(full, next);
    }
  }

  remove(session: string): void {
    for (const full of this.#values.keys()) {
      if (full.startsWith(`${session}|`)) this.#values.delete(full);
    }
  }

  seenBy(session: string): JsonObject {
    const names = ["", "user:", "app:"].flatMap((prefix) =>
      ["a", "b", "constructor"].map((name) => prefix + name),
    );
    const entries = names.flatMap((name): [string, JsonValue][] => {
      const found = this.#values.get(this.#full(session, name));
      return found === undefined ? [] : [[name, found]];
    });
    return Object.fromEntries(entries);
  }

  #full(session: string, name: string): string {
    if (name.startsWith("app:")) return name;
    return name.startsWith("user:") ? `${users[session]}|${name}` : `${session}|${name}`;
  }
}

const newSession = (domain: TestDomain, session: string) =>
  domain.create({ session: { sessionId: session, userId: users[session] ?? "" } });

const remove = (domain: TestDomain, session: string) =>
  domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: session }));

/** Plays the moves and follows them in a model, in the order in which they were committed. */
async function play(domain: TestDomain, moves: readonly Move[], model: Model): Promise<void> {
  const sent: string[] = [];
  const committed: string[] = [];
  const stop = domain.store.onCommit(({ change }) => {
    const { sessionId } = change.key;
    if (change.after === undefined) model.remove(sessionId);
    for (const values of recorded(change.events)) {
      model.patch(sessionId, values);
      committed.push(comparable(sessionId, values));
    }
  });
  let underWay: Promise<unknown>[] = [];
  const settle = async () => {
    await Promise.all(underWay);
    underWay = [];
  };
  for (const next of moves) {
    if (next.do === "settle") await settle();
    else if (next.do === "append") {
      underWay.push(domain.append({ sessionId: next.id, events: [userText("hello")] }));
    } else if (next.do === "recreate") {
      await settle();
      await remove(domain, next.id);
      await newSession(domain, next.id);
    } else {
      const stored = without(next.values, "temp:");
      if (Object.keys(stored).length > 0) sent.push(comparable(next.id, stored));
      underWay.push(checked(domain, next.id, next.values));
    }
  }
  await settle();
  stop();
  expect(committed.sort()).toEqual(sent.sort());
}

/** The same text for patches that say the same. */
function comparable(session: string, values: JsonObject): string {
  const entries = Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([session, entries]);
}

/** An answer has the values of its own patch. */
async function checked(domain: TestDomain, sessionId: string, values: JsonObject): Promise<void> {
  const { state = {}, revision } = await patch(domain, values, { sessionId });
  for (const [name, sent] of Object.entries(values)) {
    expect(Object.hasOwn(state, name) ? state[name] : null).toEqual(sent);
  }
  expect(revision > 0).toBe(Object.keys(without(values, "temp:")).length > 0);
}

async function expectAsModelled(domain: TestDomain, model: Model): Promise<void> {
  for (const session of ids) {
    expect(await seen(domain, session)).toEqual(model.seenBy(session));
    // Accounted: the log of a session makes its own keys.
    const replayed = new Model();
    for (const values of recorded(await domain.log(session))) replayed.patch(session, values);
    const own = (state: JsonObject) => without(without(state, "user:"), "app:");
    expect(own(replayed.seenBy(session))).toEqual(own(model.seenBy(session)));
  }
}

async function begin(store: Store, model: Model, moves: readonly Move[]): Promise<TestDomain> {
  const domain = await openTestDomain({ store });
  for (const session of ids) await newSession(domain, session);
  await play(domain, moves, model);
  await expectAsModelled(domain, model);
  return domain;
}

const moves = fc.array(move, { maxLength: 40 });

describe("states of several sessions and users are what the last write of each key made them", () => {
  test("however patches interleave", { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(moves, async (all) => {
        await using _ = await begin(await MemoryStore.open(), new Model(), all);
      }),
    );
  });

  test("also on disk, and over a restart", { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(moves, moves, async (first, second) => {
        const path = mkdtempSync(join(tmpdir(), "sessiond-state-"));
        try {
          const model = new Model();
          const before = await begin(await LmdbStore.open({ path }), model, first);
          await before[Symbol.asyncDispose]();
          const store = await LmdbStore.open({ path });
          await using after = await openTestDomain({ store });
          await expectAsModelled(after, model);
          await play(after, second, model);
          await expectAsModelled(after, model);
        } finally {
          rmSync(path, { recursive: true, force: true });
        }
      }),
      { numRuns: 30 },
    );
  });
});
