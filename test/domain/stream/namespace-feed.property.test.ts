import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema, type WatchEventsResponse } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HistoryGoneError, ShuttingDownError } from "../../../src/errors.ts";
import { uidText } from "../../../src/store/keys.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const readers = 3;

type Command =
  | { readonly do: "append"; readonly sessionId: string; readonly events: number }
  | { readonly do: "delete"; readonly sessionId: string }
  | { readonly do: "maintain"; readonly limit: number; readonly pieces: number }
  | { readonly do: "clock"; readonly ms: number }
  | { readonly do: "forget" }
  | { readonly do: "restart" }
  | { readonly do: "read"; readonly reader: number; readonly messages: number }
  | { readonly do: "resume"; readonly reader: number };

const sessionId = fc.constantFrom("a", "b", "c", "d");
const reader = fc.nat(readers - 1);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      sessionId,
      events: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("delete" as const), sessionId }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("maintain" as const),
      limit: fc.integer({ min: 1, max: 6 }),
      pieces: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("clock" as const),
      ms: fc.constantFrom(minuteMs, 16 * minuteMs, 4 * dayMs, 8 * dayMs, -dayMs, -9 * dayMs),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: "forget" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "restart" as const }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      reader,
      messages: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("resume" as const), reader }) },
);

/** What happened to sessions: newest revisions of those that live, and the uids of those that do not. */
class World {
  domain: TestDomain;
  readonly living = new Map<string, number>();
  readonly deleted = new Set<string>();
  readonly #reopen: (store: Store) => Promise<Store>;

  constructor(domain: TestDomain, reopen: (store: Store) => Promise<Store>) {
    this.domain = domain;
    this.#reopen = reopen;
  }

  async run(command: Exclude<Command, { do: "read" | "resume" }>): Promise<void> {
    const { domain } = this;
    switch (command.do) {
      case "append":
        await this.#append(command.sessionId, command.events);
        break;
      case "delete": {
        const { sessionId } = command;
        const found = await domain.get(sessionId).catch(() => undefined);
        if (found === undefined) break;
        await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
        this.living.delete(found.uid);
        this.deleted.add(found.uid);
        break;
      }
      case "maintain":
        for (let piece = 0; piece < command.pieces; piece++) {
          await domain.store.maintain({ nowMs: domain.now, limit: command.limit });
        }
        break;
      case "clock":
        domain.now += command.ms;
        break;
      case "forget":
        // All deletions there were, unless one is from a time when the clock was ahead.
        domain.now += 8 * dayMs;
        await this.#append("other", 1);
        while (await domain.store.maintain({ nowMs: domain.now, limit: 500 }));
        break;
      case "restart":
        await this.#restart();
    }
  }

  async #append(sessionId: string, events: number): Promise<void> {
    const texts = Array.from({ length: events }, () => userText("x"));
    await this.domain.append({ sessionId, createIfMissing: true, events: texts });
    const { uid, headRevision } = await this.domain.get(sessionId);
    this.living.set(uid, headRevision);
  }

  /** Deleted sessions whose deletion is told no more. */
  async untold(): Promise<Set<string>> {
    const range = { namespace: "default", afterOffset: 0, limit: 1e6 };
    const log = await this.domain.store.readNamespaceLog(range);
    const told = log.filter(({ entry }) => entry.deleted);
    return without(this.deleted, new Set(told.map(({ entry }) => uidText(entry.sessionUid))));
  }

  async #restart(): Promise<void> {
    const { now, store } = this.domain;
    this.domain.shutDown();
    await this.domain.close();
    this.domain = await openTestDomain({ store: await this.#reopen(store), progressIntervalMs: 1 });
    this.domain.now = now;
  }
}

function without(set: ReadonlySet<string>, others: ReadonlySet<string>): Set<string> {
  return new Set([...set].filter((one) => !others.has(one)));
}

/** Follows the namespace from its beginning, and says when what it is told breaks a promise. */
class Reader {
  readonly #world: World;
  #watch: AsyncGenerator<WatchEventsResponse> | undefined;
  #cursor = "";
  #seen = new Map<string, number>();
  #told = new Set<string>();
  #untoldAtStart = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  async resume(): Promise<void> {
    await this.#watch?.return(undefined);
    this.#watch = undefined;
  }

  /** Takes the next message; true when it says that there is nothing new. */
  async read(): Promise<boolean> {
    if (this.#cursor === "") this.#untoldAtStart = await this.#world.untold();
    this.#watch ??= this.#world.domain.watch({ cursor: this.#cursor });
    try {
      const { value } = await this.#watch.next();
      if (value === undefined) throw new Error("the watch ended");
      this.#cursor = value.cursor;
      return this.#take(value);
    } catch (error) {
      this.#watch = undefined;
      if (error instanceof ShuttingDownError) return false;
      if (!(error instanceof HistoryGoneError)) throw error;
      // Only for a reader that cannot be told of a deletion which it could have been told of.
      const missed = without(await this.#world.untold(), this.#told);
      expect(without(missed, this.#untoldAtStart).size).toBeGreaterThan(0);
      this.#cursor = "";
      this.#seen = new Map();
      this.#told = new Set();
      return false;
    }
  }

  /** Reads on to the end, where nothing may be missing. */
  async finish(): Promise<void> {
    while (!(await this.read()));
    const { living, deleted } = this.#world;
    const uids = [...this.#seen.keys()];
    const seen = [...this.#seen].filter(([uid]) => !deleted.has(uid));
    expect(new Map(seen)).toEqual(living);
    // Every deletion of a session that it has seen was told.
    expect(uids.filter((uid) => deleted.has(uid) && !this.#told.has(uid))).toEqual([]);
    await this.resume();
  }

  #take({ message }: WatchEventsResponse): boolean {
    if (message.case === "sessionDeleted") {
      const { sessionUid } = message.value;
      expect(this.#told.has(sessionUid)).toBe(false);
      this.#told.add(sessionUid);
    }
    if (message.case === "events") {
      const { sessionUid, events } = message.value;
      for (const { revision } of events) {
        const before = this.#seen.get(sessionUid) ?? 0;
        expect({ sessionUid, revision }).toEqual({ sessionUid, revision: before + 1 });
        this.#seen.set(sessionUid, revision);
      }
    }
    return message.case === "progress";
  }
}

async function check(
  open: () => Promise<Store>,
  reopen: (store: Store) => Promise<Store>,
  commands: readonly Command[],
) {
  const domain = await openTestDomain({ store: await open(), progressIntervalMs: 1 });
  const world = new World(domain, reopen);
  const all = Array.from({ length: readers }, () => new Reader(world));
  for (const command of commands) {
    if (command.do === "resume") await all[command.reader]?.resume();
    else if (command.do === "read") {
      for (let i = 0; i < command.messages; i++) await all[command.reader]?.read();
    } else await world.run(command);
  }
  for (const reader of all) await reader.finish();
  await world.domain[Symbol.asyncDispose]();
}

const promise =
  "Gapless, Resumable: a reader sees every event of what lives, and every deletion or HISTORY_GONE";
const commands = fc.array(command, { minLength: 10, maxLength: 120 });
const timeout = 120_000;

test(`${promise}, in memory`, { timeout }, async () => {
  await fc.assert(
    fc.asyncProperty(commands, (list) =>
      check(
        () => MemoryStore.open(),
        async (store) => store,
        list,
      ),
    ),
    { numRuns: 150 },
  );
});

test(`${promise}, on disk`, { timeout }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-feed-"));
  let runs = 0;
  let path = folder;
  const open = () => {
    path = join(folder, String(runs++));
    return LmdbStore.open({ path });
  };
  const reopen = async (store: Store) => {
    await store.close();
    return LmdbStore.open({ path });
  };
  await fc.assert(
    fc.asyncProperty(commands, (list) => check(open, reopen, list)),
    { numRuns: 15 },
  );
  await rm(folder, { recursive: true });
});
