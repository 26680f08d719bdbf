import { type CompactionDue, type Session, Sessiond } from "@sessiond/client";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { collect } from "./support/collect.ts";

let server: InMemoryServer;
let sessiond: Sessiond;
let session: Session;

beforeAll(async () => {
  server = await startInMemory();
  sessiond = new Sessiond(server.address);
});

beforeEach(async () => {
  session = await sessiond.sessions.create({
    contextPolicy: { compaction: { strategy: "client", manual: true } },
  });
  await session.append({ role: "user", text: "I want to visit Japan" });
  await say("Osaka", 6);
});

afterAll(async () => {
  sessiond.close();
  await server.stop();
});

const details = "It opens at nine, closes at five, and costs 800 yen. ".repeat(10);

/** A few long turns about a place. */
async function say(place: string, turns: number) {
  for (let turn = 1; turn <= turns; turn++) {
    await session.append([
      { role: "user", text: `${place} ${turn}: what is there to see?` },
      { role: "assistant", text: `${place} ${turn}: the castle. ${details}` },
    ]);
  }
}

async function announce() {
  const { revision } = await session.compact({ targetRatio: 0.05 });
  expect(revision).toBeGreaterThan(0);
}

/** Resolves when the session's newest compaction is another than that of the revision given. */
async function compactedAfter(revision: number) {
  for await (const event of session.watch()) {
    const { payload } = event.message;
    if (payload.case === "compaction" && event.revision > revision) {
      return { revision: event.revision, ...payload.value };
    }
  }
  throw new Error("the session ended without a compaction");
}

test("one that was announced before is answered, and those that come: each with what is new", async () => {
  await announce();
  const stop = new AbortController();
  const dues: CompactionDue[] = [];
  const texts: string[][] = [];
  const summarising = session.onCompactionDue(
    async (due) => {
      dues.push(due);
      texts.push((await collect(due.events())).map(({ text }) => text));
      return `${dues.length} times summarised`;
    },
    { signal: stop.signal },
  );
  const first = await compactedAfter(0);
  expect(first.summary).toBe("1 times summarised");
  expect(dues[0]?.previousSummary).toBe("");
  expect(texts[0]?.[0]).toBe("Osaka 1: what is there to see?");
  expect(texts[0]?.every((text) => text.startsWith("Osaka"))).toBe(true);

  await say("Kyoto", 6);
  await announce();
  const second = await compactedAfter(first.revision);
  expect(second).toMatchObject({ summary: "2 times summarised", previousRevision: first.revision });
  expect(dues[1]).toMatchObject({ previousSummary: "1 times summarised" });
  expect(dues[1]?.covered[0]?.first).toBe(first.covered[0]?.first);
  // Nothing is read a second time, and nothing in between is left out.
  const [before = [], after = []] = texts;
  expect(after.filter((text) => before.includes(text))).toEqual([]);
  expect([...before, ...after].length).toBe(new Set([...before, ...after]).size);
  expect(after.some((text) => text.startsWith("Kyoto"))).toBe(true);

  stop.abort();
  await summarising;
});

test("after a compaction was taken back its events are summarised again", async () => {
  await announce();
  const texts: string[][] = [];
  const summarising = session.onCompactionDue(async (due) => {
    texts.push((await collect(due.events())).map(({ text }) => text));
    return "a summary";
  });
  const { revision } = await compactedAfter(0);
  await session.revertCompaction();
  await announce();
  await compactedAfter(revision);
  expect(texts[1]).toEqual(texts[0]);
  await session.end();
  await summarising;
});

test("ends with the session, also while a summary is made", async () => {
  await announce();
  const summarising = session.onCompactionDue(async () => {
    await session.end();
    return "too late";
  });
  await expect(summarising).resolves.toBeUndefined();
});

test("ends with an error of the one who summarises, or of the summary", async () => {
  await announce();
  const failure = new Error("no model");
  await expect(session.onCompactionDue(() => Promise.reject(failure))).rejects.toBe(failure);
  await expect(session.onCompactionDue(() => " ")).rejects.toMatchObject({
    name: "InvalidFieldError",
    field: "summary",
  });
});

test("of two who summarise one answer counts, and both go on", async () => {
  const stop = new AbortController();
  const both = Promise.withResolvers<void>();
  let called = 0;
  const summarise = async () => {
    called += 1;
    if (called === 2) both.resolve();
    await both.promise;
    return `summary ${called}`;
  };
  const options = { signal: stop.signal };
  const summarising = [
    session.onCompactionDue(summarise, options),
    session.onCompactionDue(summarise, options),
  ];
  await announce();
  await compactedAfter(0);
  expect(called).toBe(2);
  stop.abort();
  await Promise.all(summarising);
});

test("with a signal that has aborted it summarises nothing", async () => {
  await announce();
  const summarise = () => {
    throw new Error("asked for a summary");
  };
  await session.onCompactionDue(summarise, { signal: AbortSignal.abort() });
});
