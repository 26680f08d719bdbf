import { Sessiond } from "@sessiond/client";
import { expect, test } from "vitest";
import { startInMemory } from "../../src/testing.ts";

test("Isolated: servers in memory do not share sessions", async () => {
  await using one = await startInMemory();
  await using other = await startInMemory();
  await using toOne = new Sessiond(one.address);
  await using toOther = new Sessiond(other.address);
  await toOne.sessions.create({ sessionId: "a" });
  expect((await toOne.sessions.list()).items).toHaveLength(1);
  expect((await toOther.sessions.list()).items).toHaveLength(0);
});

test("a server in memory says that nothing is durable", async () => {
  await using server = await startInMemory();
  await using sessiond = new Sessiond(server.address);
  const session = await sessiond.sessions.create();
  expect((await session.append({ role: "user", text: "hello" })).isDurable).toBe(false);
});

test("a server in memory takes its time from the clock it is given", async () => {
  await using server = await startInMemory({ clock: () => Date.UTC(2030, 0, 1) });
  await using sessiond = new Sessiond(server.address);
  const session = await sessiond.sessions.create();
  expect(session.createTime.toISOString()).toBe("2030-01-01T00:00:00.000Z");
});

test("stopping a server twice is stopping it once", async () => {
  const server = await startInMemory();
  await server.stop();
  await server.stop();
});
