import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CreateSessionRequest,
  CreateSessionRequestSchema,
  DeleteSessionRequestSchema,
  IfExists,
  SessionState,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import { InvalidFieldError, WritesRefusedError } from "../../../src/errors.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import { openTestDomain, type TestDomain, userText } from "../../support/domain.ts";
import { cancel, expiryOf, kindsOf, sessionId } from "./support.ts";

type Init = Exclude<MessageInitShape<typeof CreateSessionRequestSchema>, CreateSessionRequest>;

function renew(domain: TestDomain, request: Init = {}) {
  const session = { sessionId, title: "fresh" };
  return domain.sessions.create(
    create(CreateSessionRequestSchema, { session, ifExists: IfExists.RENEW, ...request }),
  );
}

describe("RENEW", () => {
  test("returns a session that has not ended", async () => {
    await using domain = await openTestDomain();
    const first = await domain.create({ session: { sessionId } });
    expect(await renew(domain)).toMatchObject({ created: false, session: first });
  });

  test("keeps an ended one with its log under the next name, and creates a fresh one", async () => {
    await using domain = await openTestDomain();
    const first = await domain.create({ session: { sessionId, title: "first" } });
    await domain.append({ sessionId, events: [userText("hello")] });
    await cancel(domain, { reason: "done" });
    const { created, session: fresh } = await renew(domain);
    expect(created).toBe(true);
    expect(fresh).toMatchObject({ sessionId, title: "fresh", headRevision: 1 });
    expect(fresh?.uid).not.toBe(first.uid);
    expect(await domain.get(`${sessionId}~1`)).toMatchObject({
      uid: first.uid,
      title: "first",
      state: SessionState.CANCELLED,
      end: { reason: "done" },
    });
    expect(kindsOf(await domain.log(`${sessionId}~1`))).toEqual([
      "sessionStarted",
      "message",
      "sessionEnded",
    ]);
    expect((await domain.append({ sessionId, events: [userText("again")] })).headRevision).toBe(2);
  });

  test("numbers what it keeps without an end", async () => {
    await using domain = await openTestDomain();
    for (let i = 0; i < 6; i++) {
      expect(await renew(domain, { session: { sessionId, title: `${i}` } })).toMatchObject({
        created: true,
      });
      await cancel(domain);
    }
    for (let i = 1; i < 6; i++) {
      expect((await domain.get(`${sessionId}~${i}`)).title).toBe(`${i - 1}`);
    }
  });

  test("writes the end of one that expired unnoticed", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, expiry: expiryOf({ idleTtl: 1_000 }) } });
    domain.now += 5_000;
    expect(await renew(domain)).toMatchObject({ created: true });
    expect((await domain.get(`${sessionId}~1`)).state).toBe(SessionState.EXPIRED);
    expect(kindsOf(await domain.log(`${sessionId}~1`))).toEqual(["sessionStarted", "sessionEnded"]);
    await domain.sweeper.sweep();
    expect((await domain.get(sessionId)).state).toBe(SessionState.ACTIVE);
  });

  test("asked for many times at once makes one fresh session", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await cancel(domain);
    const answers = await Promise.all(Array.from({ length: 8 }, () => renew(domain)));
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(answers.map(({ session }) => session?.uid)).size).toBe(1);
    await expect(domain.get(`${sessionId}~2`)).rejects.toThrow("no session");
  });

  test("Idempotent: a repeated request keeps nothing twice", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await cancel(domain);
    const first = await renew(domain, { requestId: "r" });
    await cancel(domain);
    expect(await renew(domain, { requestId: "r" })).toEqual(first);
    expect((await domain.get(sessionId)).state).toBe(SessionState.CANCELLED);
  });

  test("shows watchers of the old session nothing of the fresh one", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await cancel(domain);
    const watch = domain.watch({ sessionId, untilEnded: true });
    await watch.next();
    await renew(domain);
    const kinds: (string | undefined)[] = [];
    for await (const { message } of watch) {
      if (message.case === "events") kinds.push(...kindsOf(message.value.events));
    }
    expect(kinds).toEqual(["sessionStarted", "sessionEnded"]);
  });

  test("leaves everything as it is when the fresh session is refused or its name too long", async () => {
    await using domain = await openTestDomain();
    const long = "x".repeat(199);
    await domain.create({ session: { sessionId: long } });
    await cancel(domain, { sessionId: long });
    const request = { session: { sessionId: long } };
    await expect(renew(domain, request)).rejects.toThrow(InvalidFieldError);
    expect((await domain.get(long)).state).toBe(SessionState.CANCELLED);
  });

  test("loses nothing when only the first of its two commits is made: a retry makes the second", async () => {
    const store = await MemoryStore.open();
    await using domain = await openTestDomain({ store });
    const { uid } = await domain.create({ session: { sessionId } });
    await cancel(domain);
    const commit = store.commit.bind(store);
    store.commit = (change) =>
      change.before === undefined
        ? Promise.reject(new WritesRefusedError("the disk is full"))
        : commit(change);
    await expect(renew(domain, { requestId: "r" })).rejects.toThrow(WritesRefusedError);
    store.commit = commit;
    expect(await domain.get(`${sessionId}~1`)).toMatchObject({
      uid,
      state: SessionState.CANCELLED,
    });
    await expect(domain.get(sessionId)).rejects.toThrow("no session");
    expect(await renew(domain, { requestId: "r" })).toMatchObject({ created: true });
  });

  test("the kept session can be deleted, and its name used again", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await cancel(domain);
    await renew(domain);
    const kept = `${sessionId}~1`;
    await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId: kept }));
    await expect(domain.get(kept)).rejects.toThrow("no session");
    expect((await domain.get(sessionId)).title).toBe("fresh");
    await domain.create({ session: { sessionId: kept, title: "mine" } });
    expect((await domain.get(kept)).title).toBe("mine");
  });
});
