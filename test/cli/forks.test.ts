import { Sessiond as Client, type Session } from "@sessiond/client";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type InMemoryServer, startInMemory } from "../../src/testing.ts";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

/** Runs commands; the sessions are on a server whose clock the tests set. */
let sessiond: Sessiond;
let server: InMemoryServer;
let client: Client;
let session: Session;
let nowMs = Date.parse("2026-11-20T12:00:00Z");
let namespaces = 0;

beforeAll(async () => {
  sessiond = await openSessiond();
  server = await startInMemory({ clock: () => nowMs++ });
});
afterAll(async () => {
  await server.stop();
  await sessiond[Symbol.asyncDispose]();
});

/** Every test has a namespace to itself, with a session of three events. */
beforeEach(async () => {
  client?.close();
  client = new Client({ address: server.address, namespace: `test-${++namespaces}` });
  session = await client.sessions.create({ sessionId: "trip", title: "Japan" });
  await session.append({ role: "user", text: "by plane" });
  await session.append({ role: "user", text: "by ship" });
});
afterAll(() => client.close());

const there = () => ["--address", server.address, "--namespace", client.namespace];
const run = (...args: readonly string[]) => sessiond.run(...args, ...there());
const ok = (...args: readonly string[]) => sessiond.ok(...args, ...there());

describe("fork", () => {
  test("makes a session that goes on from a revision, and prints it", async () => {
    const text = await ok(
      "fork",
      "trip",
      "--at",
      "2",
      "--as",
      "train",
      "--title",
      "T",
      "-o",
      "text",
    );
    expect(text).toBe("train: active, 3 events\n");
    const fork = await client.sessions.get("train");
    expect(fork.parent).toEqual({
      sessionId: "trip",
      uid: session.uid,
      revision: 2,
      kind: "fork",
    });
    expect(fork.title).toBe("T");
    expect(JSON.parse(await ok("fork", "trip", "-o", "json"))).toMatchObject({
      parent: { sessionId: "trip", revision: 3 },
      title: "Japan",
    });
    expect(await ok("show", "train", "-o", "text")).toMatch(/^parent +trip at 2$/m);
  });

  test("says what is wrong with a revision, a name and a session", async () => {
    expect(await run("fork", "trip", "--at", "9")).toEqual({
      code: 5,
      stdout: "",
      stderr: 'sessiond: session "trip" has no revision 9; choose one from 1 to 3\n',
    });
    expect(await run("fork", "trip", "--at", "0")).toMatchObject({ code: 2 });
    expect(await run("fork", "trip", "--as", "trip")).toMatchObject({ code: 5 });
    expect(await run("fork", "nobody")).toMatchObject({ code: 4 });
    expect((await client.sessions.list()).items).toHaveLength(1);
  });
});

describe("show --tree", () => {
  test("draws ancestors and forks, where they branch, and which was asked for", async () => {
    const train = await session.fork({ revision: 3, sessionId: "train", title: "by train" });
    await session.fork({ revision: 2, sessionId: "bus", title: "by\u001b[31m bus" });
    await train.append({ role: "user", text: "in May" });
    await train.fork({ sessionId: "night" });
    await client.sessions.create({ sessionId: "stranger" });
    await train.end();
    expect((await ok("show", "train", "--tree", "-o", "text")).split("\n")).toEqual([
      "trip  active  3 events  Japan",
      "├─ at 2  bus  active  3 events  by\\u001b[31m bus",
      "└─ at 3  train *  completed  6 events  by train",
      "   └─ at 5  night  active  6 events  by train",
      "",
    ]);
    expect(JSON.parse(await ok("show", "night", "--tree", "-o", "json"))).toMatchObject({
      sessionId: "trip",
      isGone: false,
      isAsked: false,
      session: { title: "Japan" },
      forks: [
        { sessionId: "bus", forks: [] },
        { sessionId: "train", forks: [{ sessionId: "night", isAsked: true }] },
      ],
    });
  });

  test("shows a deleted parent as gone, also when its name was taken anew", async () => {
    await session.fork({ revision: 2, sessionId: "bus" });
    await session.fork({ revision: 2, sessionId: "train" });
    await session.delete();
    const drawn = ["trip  gone", "├─ at 2  bus *  active  3 events  Japan"];
    const text = await ok("show", "bus", "--tree", "-o", "text");
    expect(text.split("\n").slice(0, 2)).toEqual(drawn);
    await client.sessions.create({ sessionId: "trip" });
    expect(await ok("show", "bus", "--tree", "-o", "text")).toBe(text);
    expect(await ok("show", "trip", "--tree", "-o", "text")).toBe("trip *  active  1 events\n");
  });

  test("goes without --steps, and says which session there is not", async () => {
    expect(await run("show", "trip", "--tree", "--steps")).toMatchObject({ code: 2 });
    expect(await run("show", "nobody", "--tree")).toMatchObject({ code: 4 });
  });
});

describe("diff", () => {
  test("shows fields, what both begin with, and the events of each behind it", async () => {
    const fork = await session.fork({ revision: 2, sessionId: "train", title: "by train" });
    await fork.append({ role: "user", text: "by train" });
    const { code, stdout } = await run("diff", "trip", "train", "-o", "text");
    expect(code).toBe(8);
    expect(stdout.replaceAll(/2026-11-20 \d\d:\d\d:\d\d/g, "TIME").split("\n")).toEqual([
      "< trip: 3 events",
      "> train: 4 events, from trip at 2",
      '< title "Japan"',
      '> title "by train"',
      "  both begin with 2 events",
      "< TIME     3  user        by ship",
      "> TIME     3  forked",
      "> TIME     4  user        by train",
      "",
    ]);
    const lines = linesOf(await run("diff", "trip", "train").then((ended) => ended.stdout));
    expect(lines).toMatchObject([
      { field: "title", a: "Japan", b: "by train" },
      { sharedEvents: 2 },
      { side: "a", event: { revision: 3 } },
      { side: "b", event: { revision: 3 } },
      { side: "b", event: { revision: 4 } },
    ]);
  });

  test("of a session with itself is nothing, and ends with 0", async () => {
    const same = await run("diff", "trip", "trip");
    expect(same).toEqual({ code: 0, stdout: '{"sharedEvents":3}\n', stderr: "" });
  });

  test("finds what siblings share, and that a name taken anew shares nothing", async () => {
    const long = Array.from({ length: 700 }, (_, n) => ({ role: "user", text: `${n}` }) as const);
    await session.append(long);
    const one = await session.fork({ sessionId: "one", revision: 702 });
    await session.fork({ sessionId: "two", revision: 600 });
    const shared = async (a: string, b: string) =>
      linesOf<{ sharedEvents?: number }>((await run("diff", a, b)).stdout).flatMap(
        ({ sharedEvents }) => sharedEvents ?? [],
      );
    expect(await shared("one", "two")).toEqual([600]);
    // What goes on by the same words at other times is not the same.
    await one.append({ role: "user", text: "699" });
    expect(await shared("trip", "one")).toEqual([702]);
    const deep = await one.fork({ sessionId: "deep", revision: 701 });
    expect(await shared("trip", deep.sessionId)).toEqual([701]);
    await session.delete();
    await client.sessions.create({ sessionId: "trip" });
    expect(await shared("trip", "two")).toEqual([0]);
  });

  test("of a session that is not there says so", async () => {
    expect(await run("diff", "trip", "nobody")).toMatchObject({
      code: 4,
      stdout: "",
      stderr: expect.stringContaining('no session "nobody"'),
    });
  });
});

test("fork and diff complete ids of sessions, active and ended", async () => {
  await session.fork({ sessionId: "train" });
  await session.end();
  const complete = async (...words: readonly string[]) => {
    const [command = "", ...rest] = words;
    return (await sessiond.ok("__complete", "--", command, ...there(), ...rest)).trim().split("\n");
  };
  expect(await complete("fork", "")).toEqual(["train", "trip"]);
  expect(await complete("diff", "trip", "tra")).toEqual(["train"]);
  expect(await complete("diff", "trip", "train", "")).toEqual([""]);
});

describe("rewind", () => {
  test("hides a group, down to a revision, or all, and takes it back", async () => {
    const text = (...args: readonly string[]) => ok("rewind", "trip", ...args, "-o", "text");
    expect(await text()).toBe("trip: active, 4 events, visible up to 2\n");
    expect(await text("--redo")).toBe("trip: active, 5 events, visible up to 3\n");
    expect(await text("--to", "2")).toBe("trip: active, 6 events, visible up to 2\n");
    expect(await text("--all")).toBe("trip: active, 7 events, visible up to 1\n");
    expect(await text("--groups", "3")).toBe(
      "trip: active, 7 events, visible up to 7; there was nothing to hide, nothing was changed\n",
    );
    expect(
      (await session.events({ order: "newest" })).items.map(({ revision }) => revision),
    ).toEqual([7, 1]);
    const shown = await ok("show", "trip", "--replay", "--speed", "max", "-o", "text");
    expect(shown).toMatch(/^.* 4 {2}rewind +to revision 2$/m);
    expect(JSON.parse(await ok("rewind", "trip", "--redo", "-o", "json"))).toMatchObject({
      headRevision: 8,
    });
  });

  test("says what is wrong", async () => {
    expect(await run("rewind", "trip", "--redo")).toEqual({
      code: 5,
      stdout: "",
      stderr: "sessiond: the newest event is no rewind; name a revision with --to\n",
    });
    expect(await run("rewind", "trip", "--to", "9")).toMatchObject({ code: 5 });
    expect(await run("rewind", "trip", "--groups", "0")).toMatchObject({ code: 2 });
    expect(await run("rewind", "trip", "--to", "2", "--all")).toMatchObject({ code: 2 });
    expect(await run("rewind", "nobody")).toMatchObject({ code: 4 });
    expect((await session.refresh()).headRevision).toBe(3);
  });
});
