import type { WatchEventsResponse } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { cursorCodec, scopeOf } from "../../../src/cursor.ts";
import { ConsumerInUseError, ConsumerTakenOverError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { commit, createConsumer } from "./consumer-support.ts";

const name = "audit";
const readers = 2;

type Command =
  | { readonly do: "append"; readonly sessionId: string; readonly matches: readonly boolean[] }
  | { readonly do: "open"; readonly reader: number; readonly takeOver: boolean }
  | { readonly do: "read"; readonly reader: number; readonly messages: number }
  | { readonly do: "commit"; readonly reader: number; readonly back: number }
  | { readonly do: "close"; readonly reader: number }
  | { readonly do: "crash" | "restart" };

const reader = fc.nat(readers - 1);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      sessionId: fc.constantFrom("a", "b", "c"),
      matches: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("open" as const), reader, takeOver: fc.boolean() }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      reader,
      messages: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("commit" as const),
      reader,
      back: fc.constantFrom(0, 0, 1, 3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), reader }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("crash" as const, "restart" as const) }),
  },
);

/** A store that a process lets go of without a word: what it has not written by then, it never writes. */
function crashing(store: Store): { readonly store: Store; crash(): void } {
  let isDead = false;
  return {
    store: new Proxy(store, {
      get(target, property) {
        if (property === "commit" && isDead) return () => new Promise(() => {});
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
    crash: () => {
      isDead = true;
    },
  };
}

interface Open {
  readonly watch: AsyncGenerator<WatchEventsResponse>;
  readonly lease: string;
  /** Newest revision it was shown of each session. */
  readonly seen: Map<string, number>;
  /** Of what it was given, oldest first. */
  readonly cursors: string[];
  /** It was told that the name is another's. */
  isOver: boolean;
}

/** What happened, what was delivered, and what must have been. */
class World {
  readonly #store: Store;
  #domain: TestDomain;
  #crash: () => void;
  readonly #open = new Map<number, Open>();
  /** Who has the name. */
  #holder: number | undefined;
  /** `session:revision` of each event that the filter shows. */
  readonly #wanted: string[] = [];
  readonly #delivered = new Set<string>();
  /** The newest place that was acknowledged, and the one that is written for sure. */
  #acknowledged = 0;
  #written = 0;

  private constructor(store: Store, domain: TestDomain, crash: () => void) {
    this.#store = store;
    this.#domain = domain;
    this.#crash = crash;
  }

  static async start(): Promise<World> {
    const store = await MemoryStore.open();
    const { store: first, crash } = crashing(store);
    const domain = await openTestDomain({ store: first, progressIntervalMs: 1 });
    await createConsumer(domain, { name, filter: 'event.text == "yes"' });
    return new World(store, domain, crash);
  }

  async run(command: Command): Promise<void> {
    switch (command.do) {
      case "append":
        return this.#append(command.sessionId, command.matches);
      case "open":
        return this.#openWatch(command.reader, command.takeOver);
      case "read":
        for (let i = 0; i < command.messages; i++) await this.#read(command.reader);
        return;
      case "commit":
        return this.#commit(command.reader, command.back);
      case "close":
        await this.#open.get(command.reader)?.watch.return(undefined);
        this.#open.delete(command.reader);
        if (this.#holder === command.reader) this.#holder = undefined;
        return;
      case "crash":
        this.#crash();
        return this.#reopen();
      case "restart":
        await this.#domain.close();
        this.#written = this.#acknowledged;
        return this.#reopen();
    }
  }

  /** Reads what is left: nothing that the filter shows may be missing. */
  async finish(): Promise<void> {
    await this.#openWatch(0, true);
    while (!(await this.#read(0)));
    expect(this.#wanted.filter((event) => !this.#delivered.has(event))).toEqual([]);
    expect([...this.#delivered].filter((event) => !this.#wanted.includes(event))).toEqual([]);
    await this.#domain[Symbol.asyncDispose]();
  }

  async #append(sessionId: string, matches: readonly boolean[]): Promise<void> {
    const events = matches.map((isWanted) => userText(isWanted ? "yes" : "no"));
    const request = { sessionId, createIfMissing: true, events };
    const { events: appended } = await this.#domain.append(request);
    for (const [index, { revision }] of appended.entries()) {
      if (matches[index]) this.#wanted.push(`${sessionId}:${revision}`);
    }
  }

  async #openWatch(number: number, takeOver: boolean): Promise<void> {
    const isHeld = this.#holder !== undefined;
    const watch = this.#domain.watch({ consumer: name, takeOver });
    const opened = await watch.next().catch((error: unknown) => error);
    if (opened instanceof ConsumerInUseError) {
      expect({ isHeld, takeOver }).toEqual({ isHeld: true, takeOver: false });
      return;
    }
    const { value } = opened as IteratorResult<WatchEventsResponse, undefined>;
    if (value?.message.case !== "created") throw new Error("no beginning");
    // It begins where its name was committed, or after a crash at what was written of that.
    const place = this.#placeOf(value.cursor);
    expect(place).toBeLessThanOrEqual(this.#acknowledged);
    expect(place).toBeGreaterThanOrEqual(this.#written);
    const { lease } = value.message.value;
    this.#open.set(number, {
      watch,
      lease,
      seen: new Map(),
      cursors: [value.cursor],
      isOver: false,
    });
    this.#holder = number;
  }

  /** Takes the next message; true when it says that there is nothing new. */
  async #read(number: number): Promise<boolean> {
    const reader = this.#open.get(number);
    if (reader === undefined || reader.isOver) return false;
    try {
      const { value } = await reader.watch.next();
      if (value === undefined) throw new Error("the watch ended");
      reader.cursors.push(value.cursor);
      if (value.message.case === "events") this.#take(reader, value.message.value);
      if (value.message.case !== "progress") return false;
      return this.#placeOf(value.cursor) === this.#store.namespaceOffset("default");
    } catch (error) {
      if (!(error instanceof ConsumerTakenOverError)) throw error;
      expect(this.#holder).not.toBe(number);
      reader.isOver = true;
      return false;
    }
  }

  #take({ seen }: Open, batch: { sessionId: string; events: readonly { revision: number }[] }) {
    for (const { revision } of batch.events) {
      expect(revision).toBeGreaterThan(seen.get(batch.sessionId) ?? 0);
      seen.set(batch.sessionId, revision);
      this.#delivered.add(`${batch.sessionId}:${revision}`);
    }
  }

  /** Commits the newest cursor, or one that came so many messages before it. */
  async #commit(number: number, back: number): Promise<void> {
    const reader = this.#open.get(number);
    if (reader === undefined) return;
    const { lease, cursors } = reader;
    const cursor = cursors.at(-1 - back) ?? cursors[0] ?? "";
    try {
      const answer = await commit(this.#domain, { name, cursor, lease });
      expect([undefined, number]).toContain(this.#holder);
      this.#acknowledged = Math.max(this.#acknowledged, this.#placeOf(cursor));
      expect(this.#placeOf(answer.cursor)).toBe(this.#acknowledged);
    } catch (error) {
      if (!(error instanceof ConsumerTakenOverError)) throw error;
      expect([undefined, number]).not.toContain(this.#holder);
    }
  }

  async #reopen(): Promise<void> {
    this.#domain.shutDown();
    this.#open.clear();
    this.#holder = undefined;
    const { store, crash } = crashing(this.#store);
    this.#domain = await openTestDomain({ store, progressIntervalMs: 1 });
    this.#crash = crash;
    // What a crash took back is acknowledged no more.
    const place = await this.#domain.consumers.placeOf({ namespace: "default", name });
    expect(place?.place).toBeGreaterThanOrEqual(this.#written);
    expect(place?.place).toBeLessThanOrEqual(this.#acknowledged);
    this.#acknowledged = place?.place ?? 0;
  }

  #placeOf(cursor: string): number {
    const { storeId } = this.#store.capabilities;
    return cursorCodec("namespace", scopeOf(storeId, "default")).decode(cursor).place;
  }
}

test("At least once: every event that matches reaches a reader, in order, and twice only behind the committed cursor", {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 100 }), async (commands) => {
      const world = await World.start();
      for (const one of commands) await world.run(one);
      await world.finish();
    }),
    { numRuns: 150 },
  );
});
