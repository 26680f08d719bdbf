import { describe, expect, test } from "vitest";
import { type SessionCell, SessionCells } from "../../src/domain/session-cells.ts";
import { DataLossError, SessionNotFoundError, WritesRefusedError } from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import type { Change, Committed, Store, StoredSession } from "../../src/store/store.ts";
import { headAt, storedSession, textEvent } from "../store/support.ts";

/** A memory store whose commits wait until they are let through, or made to fail. */
class HeldStore {
  readonly store: Store;
  readonly held: { go(): void; fail(error: Error): void }[] = [];
  loads = 0;
  failLoads = 0;
  hold = false;

  constructor(inner: Store) {
    const commit = async (change: Change): Promise<Committed> => {
      if (this.hold) {
        await new Promise<void>((go, fail) => this.held.push({ go, fail }));
      }
      return inner.commit(change);
    };
    const getSession: Store["getSession"] = async (name) => {
      this.loads++;
      if (this.failLoads > 0) {
        this.failLoads--;
        throw new DataLossError({ record: "session" });
      }
      return inner.getSession(name);
    };
    this.store = new Proxy(inner, {
      get: (target, key) => {
        if (key === "commit") return commit;
        if (key === "getSession") return getSession;
        const value: unknown = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}

async function setUp(limit = 100) {
  const held = new HeldStore(await MemoryStore.open());
  const cells = new SessionCells({ store: held.store, clock: () => 0, limit, limitBytes: 1e9 });
  return { held, cells };
}

const demo = { namespace: "default", sessionId: "demo" };

/** Decides on the latest state: one more event. */
function next(cell: SessionCell): { after: StoredSession; events: ReturnType<typeof textEvent>[] } {
  const { session, head } = cell.latest ?? storedSession(cell.name);
  const revision = head.revision + 1;
  return { after: { session, head: headAt(revision) }, events: [textEvent(revision)] };
}

const append = (cells: SessionCells, name = demo) =>
  cells.use(name, async (cell) => {
    const change = next(cell);
    await cell.commit(change);
    return change.after.head.revision;
  });

const revisions = (cells: SessionCells) =>
  cells.use(demo, ({ latest, durable }) => [latest?.head.revision, durable?.head.revision]);

async function allHeld(held: HeldStore, count: number) {
  while (held.held.length < count) await new Promise((resolve) => setImmediate(resolve));
}

test("decisions go on from one another while their commits are under way", async () => {
  const { held, cells } = await setUp();
  held.hold = true;
  const appends = [append(cells), append(cells), append(cells)];
  await allHeld(held, 3);
  expect(await revisions(cells)).toEqual([3, undefined]);
  for (const { go } of held.held) go();
  expect(await Promise.all(appends)).toEqual([1, 2, 3]);
  expect(await revisions(cells)).toEqual([3, 3]);
});

test("Durable before visible: what is durable moves forward only, one commit at a time", async () => {
  const { held, cells } = await setUp();
  await append(cells);
  held.hold = true;
  const appends = [append(cells), append(cells)];
  await allHeld(held, 2);
  expect(await revisions(cells)).toEqual([3, 1]);
  held.held[0]?.go();
  await appends[0];
  expect(await revisions(cells)).toEqual([3, 2]);
  held.held[1]?.go();
  await appends[1];
  expect(await revisions(cells)).toEqual([3, 3]);
});

describe("when a commit fails", () => {
  const full = new WritesRefusedError("the disk is full");

  test("those decided on top of it fail with its error, and the cell recovers", async () => {
    const { held, cells } = await setUp();
    await append(cells);
    held.hold = true;
    const appends = [append(cells), append(cells), append(cells)];
    await allHeld(held, 3);
    held.held[1]?.fail(full);
    held.held[0]?.go();
    held.held[2]?.go();
    const outcomes = await Promise.allSettled(appends);
    expect(outcomes).toMatchObject([
      { status: "fulfilled", value: 2 },
      { status: "rejected", reason: full },
      { status: "rejected", reason: full },
    ]);
    held.hold = false;
    expect(await revisions(cells)).toEqual([2, 2]);
    expect(await append(cells)).toBe(3);
  });

  test("a decision made before the failure is known fails too", async () => {
    const { held, cells } = await setUp();
    held.hold = true;
    const first = append(cells);
    const second = append(cells);
    await allHeld(held, 2);
    held.held[0]?.fail(full);
    await expect(first).rejects.toBe(full);
    await expect(append(cells)).rejects.toBe(full);
    held.held[1]?.go();
    await expect(second).rejects.toBe(full);
    held.hold = false;
    expect(await append(cells)).toBe(1);
  });

  test("an answer that waits for what it tells fails as well", async () => {
    const { held, cells } = await setUp();
    held.hold = true;
    const first = append(cells);
    await allHeld(held, 1);
    const answer = cells.use(demo, async (cell) => {
      const told = cell.latest?.head.revision;
      await cell.settled();
      return told;
    });
    held.held[0]?.fail(full);
    await expect(first).rejects.toBe(full);
    await expect(answer).rejects.toBe(full);
  });
});

test("a commit that failed before does not fail later answers", async () => {
  const { held, cells } = await setUp();
  held.hold = true;
  const failed = append(cells);
  await allHeld(held, 1);
  held.held[0]?.fail(new WritesRefusedError("the disk is full"));
  await expect(failed).rejects.toThrow("full");
  await cells.use(demo, (cell) => cell.settled());
});

describe("eviction", () => {
  test("makes no second cell of a session that is in use", async () => {
    const { held, cells } = await setUp(2);
    held.hold = true;
    const first = append(cells);
    await allHeld(held, 1);
    for (let i = 0; i < 10; i++) {
      await cells.use({ ...demo, sessionId: `other-${i}` }, () => undefined);
    }
    const second = append(cells);
    await allHeld(held, 2);
    for (const { go } of held.held) go();
    expect(await Promise.all([first, second])).toEqual([1, 2]);
  });

  test("makes no second cell of a session that is being loaded", async () => {
    const { cells } = await setUp(1);
    const names = Array.from({ length: 20 }, (_, i) => ({ ...demo, sessionId: `s-${i % 4}` }));
    const answers = await Promise.all(names.map((name) => append(cells, name)));
    expect(answers.sort()).toEqual([1, 2, 3, 4, 5].flatMap((n) => [n, n, n, n]));
  });

  test("lets go of the session that was used the longest time ago, and finds it again", async () => {
    const { held, cells } = await setUp(2);
    await append(cells);
    await append(cells, { ...demo, sessionId: "b" });
    await append(cells);
    await append(cells, { ...demo, sessionId: "c" });
    const before = held.loads;
    expect(await append(cells)).toBe(3);
    expect(held.loads).toBe(before);
    expect(await append(cells, { ...demo, sessionId: "b" })).toBe(2);
    expect(held.loads).toBe(before + 1);
  });
});

test("a session that could not be loaded is tried again, for all who waited at once", async () => {
  const { held, cells } = await setUp();
  held.failLoads = 1;
  const outcomes = await Promise.allSettled([append(cells), append(cells)]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await Promise.all([append(cells), append(cells)])).toEqual([1, 2]);
  expect(held.loads).toBe(2);
});

test("a session that is not there is told so, and has a cell all the same", async () => {
  const { cells } = await setUp();
  await expect(cells.use(demo, (cell) => cell.requireLatest())).rejects.toThrow(
    SessionNotFoundError,
  );
  await expect(cells.use(demo, (cell) => cell.requireDurable())).rejects.toThrow("demo");
});

test("a list shows of a session with commits under way what is durable", async () => {
  const { held, cells } = await setUp();
  await append(cells);
  const stored = await held.store.getSession(demo);
  if (stored === undefined) throw new Error("nothing is stored");
  const ahead = { ...stored, head: headAt(2) };
  expect(cells.durable(ahead)).toBe(ahead);
  held.hold = true;
  const second = append(cells);
  await allHeld(held, 1);
  expect(cells.durable(ahead)?.head.revision).toBe(1);
  held.held[0]?.go();
  await second;
  expect(cells.durable(ahead)).toBe(ahead);
});
