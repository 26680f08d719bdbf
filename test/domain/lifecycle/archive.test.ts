import { create } from "@bufbuild/protobuf";
import { EndSessionRequestSchema, ReopenSessionRequestSchema } from "@sessiond/contract";
import { expect, test } from "vitest";
import type { StoredSession } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { expiryOf } from "./support.ts";

const name = { namespace: "default", sessionId: "s" };

async function ended(domain: TestDomain): Promise<void> {
  await domain.create({ session: { sessionId: "s", expiry: expiryOf({ retention: 1_000 }) } });
  await domain.append({ sessionId: "s", events: [userText("hello")] });
  await domain.sessions.end(create(EndSessionRequestSchema, { sessionId: "s" }));
  domain.now += 1_000;
}

test("a session is archived as it is, then removed", async () => {
  const kept: StoredSession[] = [];
  const archive = async (stored: StoredSession) => {
    expect(await domain.store.getSession(name)).toEqual(stored);
    kept.push(stored);
  };
  await using domain = await openTestDomain({ archive });
  await ended(domain);
  await domain.sweeper.sweep();
  expect(kept).toMatchObject([{ session: { sessionId: "s" }, head: { revision: 3 } }]);
  expect(await domain.store.getSession(name)).toBeUndefined();
});

test("a session stays while the archive fails, and is tried again", async () => {
  let isFull = true;
  const failures: unknown[] = [];
  const archive = async () => {
    if (isFull) throw new Error("no space left");
  };
  const onSweepError = (error: unknown) => failures.push(error);
  await using domain = await openTestDomain({ archive, onSweepError });
  await ended(domain);
  await domain.sweeper.sweep();
  expect(failures).toMatchObject([{ message: "no space left" }]);
  expect(await domain.store.getSession(name)).toBeDefined();
  isFull = false;
  await domain.sweeper.sweep();
  expect(await domain.store.getSession(name)).toBeUndefined();
});

test("a session that is reopened while it is archived is not removed", async () => {
  const archive = async () => {
    await domain.lifecycle.reopen(create(ReopenSessionRequestSchema, { sessionId: "s" }));
  };
  await using domain = await openTestDomain({ archive });
  await ended(domain);
  await domain.sweeper.sweep();
  expect((await domain.store.getSession(name))?.head.revision).toBe(4);
});
