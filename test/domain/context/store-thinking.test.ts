import { SessionState } from "@sessiond/contract";
import { expect, test } from "vitest";
import { SessionEndedError } from "../../../src/errors.ts";
import { openTestDomain, userText } from "../../support/domain.ts";
import { assistantText, end, open, say, sessionId, thinking } from "./compaction/support.ts";

test("thinking is stored unless the policy says otherwise", async () => {
  for (const contextPolicy of [{}, { storeThinking: true }]) {
    await using domain = await openTestDomain();
    await open(domain, contextPolicy);
    const { events } = await domain.append({ sessionId, events: [thinking("hm")] });
    expect(events).toMatchObject([{ revision: 2, step: 1 }]);
  }
});

test("thinking that is not to be stored is taken, has no revision, and leaves no hole", async () => {
  await using domain = await openTestDomain();
  await open(domain, { storeThinking: false });
  const answer = await domain.append({
    sessionId,
    events: [userText("hi"), thinking("hm"), assistantText("hello"), thinking("well")],
  });
  expect(answer.events.map(({ revision, tokens }) => [revision, tokens?.count])).toEqual([
    [2, 2],
    [0, undefined],
    [3, 5],
    [0, undefined],
  ]);
  expect(answer.headRevision).toBe(3);
  const log = await domain.log(sessionId);
  expect(log.map(({ payload }) => payload.case)).toEqual(["sessionStarted", "message", "message"]);
  expect((await domain.get(sessionId)).metrics).toMatchObject({
    events: 3,
    steps: 0,
    tokens: { total: 7 },
  });
});

test("Idempotent: an append of nothing but thinking that is not stored gives the first answer again", async () => {
  await using domain = await openTestDomain();
  await open(domain, { storeThinking: false });
  const request = { sessionId, requestId: "r", events: [thinking("hm")] };
  const first = await domain.append(request);
  expect(first).toMatchObject({ headRevision: 1, events: [{ revision: 0 }] });
  await say(domain, userText("later"));
  expect(await domain.append(request)).toEqual(first);
  expect(await domain.log(sessionId)).toHaveLength(2);
});

test("thinking that is not to be stored is no activity", async () => {
  await using domain = await openTestDomain();
  await open(domain, { storeThinking: false });
  const { lastActivityTime } = await domain.get(sessionId);
  domain.now += 1_000;
  await domain.append({ sessionId, events: [thinking("hm")] });
  expect((await domain.get(sessionId)).lastActivityTime).toEqual(lastActivityTime);
});

test("an ended session takes no thinking either, stored or not", async () => {
  await using domain = await openTestDomain();
  await open(domain, { storeThinking: false });
  await end(domain);
  await expect(domain.append({ sessionId, events: [thinking("hm")] })).rejects.toThrow(
    SessionEndedError,
  );
  expect((await domain.get(sessionId)).state).toBe(SessionState.COMPLETED);
});
