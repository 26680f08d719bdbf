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

/** Every test has a namespace to itself: a session, two children, a grandchild and two forks. */
beforeEach(async () => {
  client?.close();
  client = new Client({ address: server.address, namespace: `test-${++namespaces}` });
  const { sessions } = client;
  session = await sessions.create({ sessionId: "trip", userId: "ann", title: "Japan" });
  await sessions.create({ sessionId: "hotels", parent: session });
  await session.fork({ sessionId: "train" });
  const flights = await sessions.create({ sessionId: "flights", parent: session });
  await sessions.create({ sessionId: "seats", parent: flights });
  await flights.fork({ sessionId: "night", revision: 1 });
});
afterAll(() => client.close());

const there = () => ["--address", server.address, "--namespace", client.namespace];
const run = (...args: readonly string[]) => sessiond.run(...args, ...there());
const ok = (...args: readonly string[]) => sessiond.ok(...args, ...there());

const drawn = (name = "trip") => [
  `${name}  completed  2 events  Japan`,
  "├─ child  hotels  active  1 events",
  "├─ child  flights  active  1 events",
  "│  ├─ child  seats *  active  1 events",
  "│  └─ at 1  night  active  2 events",
  "└─ at 1  train  active  2 events  Japan",
  "",
];

describe("show --tree", () => {
  test("draws children beside forks, wherever one asks", async () => {
    await session.end();
    expect((await ok("show", "seats", "--tree", "-o", "text")).split("\n")).toEqual(drawn());
    expect(JSON.parse(await ok("show", "seats", "--tree", "-o", "json"))).toMatchObject({
      sessionId: "trip",
      children: [
        { sessionId: "hotels", children: [], forks: [] },
        { sessionId: "flights", children: [{ isAsked: true }], forks: [{ sessionId: "night" }] },
      ],
      forks: [{ sessionId: "train", children: [] }],
    });
    expect(await ok("show", "seats", "-o", "text")).toMatch(
      /^parent +flights, whose child it is$/m,
    );
  });

  test("knows a parent that was renewed by its new name, and a fresh one of the old name apart", async () => {
    await session.end();
    await client.sessions.create({ sessionId: "trip" }, { ifExists: "renew" });
    await client.sessions.create({ sessionId: "late", parent: "trip" });
    const kept = drawn("trip~1");
    expect((await ok("show", "seats", "--tree", "-o", "text")).split("\n")).toEqual(kept);
    expect((await ok("show", "trip", "--tree", "-o", "text")).split("\n")).toEqual([
      "trip *  active  1 events",
      "└─ child  late  active  1 events",
      "",
    ]);
  });

  test("shows the deleted parent of forks as gone, once for all of them", async () => {
    await session.fork({ sessionId: "bus", revision: 1 });
    await session.delete();
    await client.sessions.create({ sessionId: "trip" });
    expect((await ok("show", "train", "--tree", "-o", "text")).split("\n")).toEqual([
      "trip  gone",
      "├─ at 1  train *  active  2 events  Japan",
      "└─ at 1  bus  active  2 events  Japan",
      "",
    ]);
  });
});

test("sessions --parent lists children, and says when the parent is not there", async () => {
  const lines = linesOf<{ sessionId: string }>(await ok("sessions", "--parent", "trip"));
  expect(lines.map(({ sessionId }) => sessionId)).toEqual(["flights", "hotels"]);
  expect(await run("sessions", "--parent", "nobody")).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('no session "nobody"'),
  });
});

test("delete says how many children go, as text and as JSON", async () => {
  expect(await ok("delete", "flights", "-o", "text")).toBe("flights: deleted, with 1 child\n");
  expect(await ok("delete", "train", "-o", "text")).toBe("train: deleted\n");
  const json = JSON.parse(await ok("delete", "trip", "-o", "json"));
  expect(json).toEqual({ sessionId: "trip", deleted: true, childCount: 1 });
});

test("delete --user and cleanup say how many children go", async () => {
  const dry = await ok("delete", "--user", "ann", "--dry-run", "-o", "text");
  expect(dry).toContain("2 sessions would be deleted, with 3 children of others\n");
  const filter = ["--filter", 'session.session_id == "flights"', "--action", "delete"];
  const { stdout, stderr } = await run("cleanup", ...filter, "-o", "text");
  expect(stdout).toMatch(/^flights: deleted, /);
  expect(stderr).toBe("1 session deleted; with 1 child; looked at 6\n");
});
