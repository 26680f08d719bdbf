import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  EndSessionRequestSchema,
  ListSessionsRequestSchema,
  SessionOrder,
  SessionState,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { encodePageToken, scopeOf } from "../../src/cursor.ts";
import { PageTokenInvalidError } from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../support/domain.ts";

type Query = MessageInitShape<typeof ListSessionsRequestSchema>;

const list = ({ list }: TestDomain, query: Query = {}) =>
  list.list(create(ListSessionsRequestSchema, query));

/** Ids of all pages. */
async function pages(domain: TestDomain, query: Query, between?: () => Promise<unknown>) {
  const found: string[][] = [];
  let pageToken = "";
  do {
    const page = await list(domain, { ...query, pageToken });
    found.push(page.sessions.map(({ sessionId }) => sessionId));
    pageToken = page.nextPageToken;
    await between?.();
  } while (pageToken !== "");
  return found;
}

async function createMany(domain: TestDomain, count: number, fields: object = {}) {
  for (let i = 0; i < count; i++) {
    await domain.create({ session: { sessionId: `s-${i}`, ...fields } });
    domain.now += 1_000;
  }
}

const names = (...numbers: readonly number[]) => numbers.map((i) => `s-${i}`);

describe("order", () => {
  test("newest first, or oldest first when asked for", async () => {
    await using domain = await openTestDomain();
    await createMany(domain, 4);
    expect(await pages(domain, {})).toEqual([names(3, 2, 1, 0)]);
    const oldestFirst = { order: SessionOrder.OLDEST_FIRST };
    expect(await pages(domain, oldestFirst)).toEqual([names(0, 1, 2, 3)]);
  });

  test.each([SessionOrder.NEWEST_FIRST, SessionOrder.OLDEST_FIRST])(
    "pages join into the list, also of sessions made in one millisecond (order %d)",
    async (order) => {
      await using domain = await openTestDomain();
      for (let i = 0; i < 25; i++) await domain.create({ session: { sessionId: `s-${i}` } });
      const whole = (await pages(domain, { order, pageSize: 100 })).flat();
      expect(new Set(whole).size).toBe(25);
      for (const pageSize of [1, 7, 24, 25]) {
        expect((await pages(domain, { order, pageSize })).flat()).toEqual(whole);
      }
    },
  );
});

describe("filters", () => {
  test("must all match, whichever of them has an index", async () => {
    await using domain = await openTestDomain();
    const make = (sessionId: string, agentId: string, userId: string, team: string) =>
      domain.create({ session: { sessionId, agentId, userId, labels: { team, all: "yes" } } });
    await make("a", "bot", "ann", "x");
    await make("b", "bot", "bob", "x");
    await make("c", "fox", "ann", "y");
    await domain.sessions.end(create(EndSessionRequestSchema, { sessionId: "b" }));

    const found = async (query: Query) => (await pages(domain, query)).flat().sort();
    expect(await found({ agentId: "bot" })).toEqual(["a", "b"]);
    expect(await found({ userId: "ann" })).toEqual(["a", "c"]);
    expect(await found({ agentId: "bot", userId: "ann" })).toEqual(["a"]);
    expect(await found({ state: SessionState.COMPLETED })).toEqual(["b"]);
    expect(await found({ state: SessionState.ACTIVE, agentId: "bot" })).toEqual(["a"]);
    expect(await found({ labels: { team: "x" } })).toEqual(["a", "b"]);
    expect(await found({ labels: { team: "y", all: "yes" }, userId: "ann" })).toEqual(["c"]);
    expect(await found({ labels: { team: "z" } })).toEqual([]);
    expect(await found({ labels: { constructor: "x" } })).toEqual([]);
    expect(await found({ agentId: "nobody" })).toEqual([]);
  });

  test("follow a session when what they look at changes", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "a", agentId: "bot" } });
    const session = { sessionId: "a", agentId: "fox" };
    await domain.sessions.update(create(UpdateSessionRequestSchema, { session }));
    expect(await pages(domain, { agentId: "bot" })).toEqual([[]]);
    expect(await pages(domain, { agentId: "fox" })).toEqual([["a"]]);
  });

  test("Isolated: a list shows its own namespace only", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId: "a", namespace: "one" } });
    await domain.create({ session: { sessionId: "b", namespace: "onetwo" } });
    expect(await pages(domain, { namespace: "one" })).toEqual([["a"]]);
    expect(await pages(domain, {})).toEqual([[]]);
  });

  test("that few sessions match cost pages that are short, not calls that are long", async () => {
    await using domain = await openTestDomain();
    for (let i = 0; i < 5_100; i++) {
      await domain.create({
        session: { sessionId: `s-${i}`, labels: i === 0 ? { rare: "1" } : {} },
      });
      domain.now += 1;
    }
    expect(await pages(domain, { labels: { rare: "1" } })).toEqual([[], ["s-0"]]);
  });
});

describe("pages", () => {
  test("are of 50 by default and never above 1,000", async () => {
    await using domain = await openTestDomain();
    for (let i = 0; i < 1_001; i++) await domain.create({});
    expect((await list(domain)).sessions).toHaveLength(50);
    expect((await list(domain, { pageSize: 5_000 })).sessions).toHaveLength(1_000);
  });

  test("Bounded: a page ends at 1 MiB, and the next one goes on behind it", async () => {
    await using domain = await openTestDomain();
    await createMany(domain, 12, { systemInstructions: "x".repeat(250_000) });
    const found = await pages(domain, {});
    expect(found.map((page) => page.length)).toEqual([4, 4, 4]);
    expect(found.flat()).toEqual(names(11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  });

  test("of a newest-first list have none of the sessions created meanwhile", async () => {
    await using domain = await openTestDomain();
    await createMany(domain, 6);
    let more = 0;
    const found = await pages(domain, { pageSize: 2 }, async () => {
      domain.now += 1_000;
      await domain.create({ session: { sessionId: `later-${more++}` } });
    });
    expect(found.flat()).toEqual(names(5, 4, 3, 2, 1, 0));
  });

  test("of an oldest-first list go on into the sessions created meanwhile", async () => {
    await using domain = await openTestDomain();
    await createMany(domain, 3);
    let more = 3;
    const query = { pageSize: 2, order: SessionOrder.OLDEST_FIRST };
    const found = await pages(domain, query, async () => {
      if (more < 5) await domain.create({ session: { sessionId: `s-${more++}` } });
      domain.now += 1_000;
    });
    expect(found.flat()).toEqual(names(0, 1, 2, 3, 4));
  });

  test("skip what was deleted meanwhile and lose nothing else", async () => {
    await using domain = await openTestDomain();
    await createMany(domain, 6);
    const first = await list(domain, { pageSize: 2 });
    for (const sessionId of names(4, 3)) {
      await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
    }
    const rest = await list(domain, { pageSize: 2, pageToken: first.nextPageToken });
    expect(rest.sessions.map(({ sessionId }) => sessionId)).toEqual(names(2, 1));
  });

  test.each(["", "x", "1", " a", "-1 a", "1e3 a", "9999999999999999 a", "1 "])(
    "do not begin at a place somebody made up: %j",
    async (position) => {
      await using domain = await openTestDomain();
      const { storeId } = domain.store.capabilities;
      const filters = JSON.stringify([0, "", "", [], 0, ""]);
      const pageToken = encodePageToken(scopeOf(storeId, "default", filters), position);
      await expect(list(domain, { pageToken })).rejects.toThrow(PageTokenInvalidError);
    },
  );
});

describe("Durable before visible", () => {
  test("a session is not listed before its commit is acknowledged, nor are its changes", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    await domain.create({ session: { sessionId: "a", title: "old" } });
    const stored = await store.getSession({ namespace: "default", sessionId: "a" });
    if (stored === undefined) throw new Error("nothing is stored");

    const held = Promise.withResolvers<void>();
    const commit = store.commit.bind(store);
    store.commit = async (change) => {
      await held.promise;
      return commit(change);
    };
    const listSessions = store.listSessions.bind(store);
    const ghost = {
      ...stored,
      session: { ...stored.session, sessionId: "b", uid: "0190a1f8-a332-77ee-a91c-65a14f9b9d3c" },
    };
    const ahead = { ...stored, head: { ...stored.head, revision: 2 } };
    store.listSessions = async (query) => {
      const found = await listSessions(query);
      return found.length === 0 ? found : [ahead, ghost];
    };
    const append = domain.append({ sessionId: "a", events: [userText("hi")] });
    const creation = domain.create({ session: { sessionId: "b" } });
    await new Promise((resolve) => setImmediate(resolve));

    const { sessions } = await list(domain);
    expect(sessions).toMatchObject([{ sessionId: "a", headRevision: 1 }]);
    held.resolve();
    await Promise.all([append, creation]);
    const after = await list(domain);
    expect(after.sessions.map(({ sessionId }) => sessionId)).toEqual(["a", "b"]);
  });
});
