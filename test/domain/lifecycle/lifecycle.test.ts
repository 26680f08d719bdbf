import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  EndSessionRequestSchema,
  SessionState,
  UpdateSessionRequestSchema,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  RequestIdReusedError,
  SessionEndedError,
  SessionNotFoundError,
  SessionTtlPassedError,
} from "../../../src/errors.ts";
import { openTestDomain, userText } from "../../support/domain.ts";
import {
  cancel,
  expiryOf,
  kindsOf,
  output,
  reopen,
  sessionId,
  thinking,
  toolCall,
} from "./support.ts";

const hello = { sessionId, events: [userText("hello")] };

describe("cancel", () => {
  test("ends a session with its reason, and closes open calls in the same commit", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    const calls = [toolCall("c1"), toolCall("c2"), toolCall("c2")];
    await domain.append({ sessionId, events: [userText("go"), ...calls] });
    const { session, cancelled } = await cancel(domain, { reason: "the user left" });
    expect(cancelled).toBe(true);
    expect(session).toMatchObject({
      state: SessionState.CANCELLED,
      end: { reason: "the user left" },
      endTime: timestampFromMs(domain.now),
    });
    const log = await domain.log(sessionId);
    expect(kindsOf(log).slice(5)).toEqual([
      "toolResult",
      "toolResult",
      "toolResult",
      "sessionEnded",
    ]);
    expect(
      log
        .slice(5, 8)
        .map(({ callRevision }) => callRevision)
        .sort(),
    ).toEqual([3, 4, 5]);
    expect(log[5]?.payload.value).toMatchObject({ callId: "c1", isError: true });
    await expect(domain.append(hello)).rejects.toThrow(SessionEndedError);
  });

  test("Idempotent: of an ended session it changes nothing and tells the first end", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    const first = await cancel(domain, { reason: "one" });
    domain.now += 1_000;
    const second = await cancel(domain, { reason: "two" });
    expect(second).toMatchObject({ cancelled: false, session: first.session });
    const repeated = await cancel(domain, { reason: "three", requestId: "r" });
    await reopen(domain);
    expect(await cancel(domain, { reason: "three", requestId: "r" })).toEqual(repeated);
    expect((await domain.get(sessionId)).state).toBe(SessionState.ACTIVE);
    await expect(cancel(domain, { reason: "four", requestId: "r" })).rejects.toThrow(
      RequestIdReusedError,
    );
  });

  test("is shown to those who watch, with the results of open calls in one message", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await domain.append({ sessionId, events: [toolCall("c1")] });
    const watch = domain.watch({ sessionId, start: 2, untilEnded: true });
    await watch.next();
    const [message] = await Promise.all([watch.next(), cancel(domain)]);
    const batch = message.value?.message;
    const events = batch?.case === "events" ? batch.value.events : [];
    expect(kindsOf(events)).toEqual(["toolResult", "sessionEnded"]);
    expect((await watch.next()).done).toBe(true);
  });

  test("by EndSession closes open calls as well; another end leaves them", async () => {
    await using domain = await openTestDomain();
    for (const [state, calls] of [
      [SessionState.CANCELLED, 1],
      [SessionState.COMPLETED, 0],
    ] as const) {
      const id = `end-${state}`;
      await domain.append({ sessionId: id, events: [toolCall("c1")], createIfMissing: true });
      await domain.sessions.end(create(EndSessionRequestSchema, { sessionId: id, state }));
      const kinds = kindsOf(await domain.log(id));
      expect(kinds.filter((kind) => kind === "toolResult")).toHaveLength(calls);
    }
  });

  test("of a session that is not there fails", async () => {
    await using domain = await openTestDomain();
    await expect(cancel(domain)).rejects.toThrow(SessionNotFoundError);
  });
});

describe("reopen", () => {
  test("makes an ended session active, and keeps its end in the log only", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId } });
    await cancel(domain, { reason: "a mistake" });
    domain.now += 1_000;
    const { session, reopened } = await reopen(domain, { reason: "go on" });
    expect(reopened).toBe(true);
    expect(session).toMatchObject({
      state: SessionState.ACTIVE,
      reopenTime: timestampFromMs(domain.now),
    });
    expect(session?.end).toBeUndefined();
    expect(session?.endTime).toBeUndefined();
    expect((await domain.log(sessionId)).at(-1)?.payload).toMatchObject({
      case: "sessionReopened",
      value: { from: SessionState.CANCELLED, reason: "go on" },
    });
    expect((await domain.append(hello)).state).toBe(SessionState.ACTIVE);
    expect(await reopen(domain)).toMatchObject({ reopened: false });
  });

  test("lets idle expiry and the timeout count from now", async () => {
    await using domain = await openTestDomain();
    const limits = { timeout: durationFromMs(5_000) };
    const expiry = expiryOf({ idleTtl: 1_000 });
    await domain.create({ session: { sessionId, limits, expiry } });
    domain.now += 60_000;
    const { session } = await reopen(domain);
    expect(session?.expireTime).toEqual(timestampFromMs(domain.now + 1_000));
    const reopenMs = domain.now;
    for (let i = 0; i < 5; i++) {
      domain.now += 900;
      await domain.append(hello);
    }
    domain.now += 900;
    expect(await domain.get(sessionId)).toMatchObject({
      state: SessionState.TIMED_OUT,
      endTime: timestampFromMs(reopenMs + 5_000),
    });
  });

  test("of one whose end nobody wrote down yet writes both", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, expiry: expiryOf({ idleTtl: 1_000 }) } });
    domain.now += 2_000;
    await reopen(domain);
    expect(kindsOf(await domain.log(sessionId))).toEqual([
      "sessionStarted",
      "sessionEnded",
      "sessionReopened",
    ]);
  });

  test("is refused once the time to live has passed, until it is made longer", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, expiry: expiryOf({ ttl: 1_000 }) } });
    await cancel(domain);
    domain.now += 1_000;
    await expect(reopen(domain)).rejects.toThrow(SessionTtlPassedError);
    const expiry = expiryOf({ ttl: 5_000 });
    await domain.sessions.update(
      create(UpdateSessionRequestSchema, { session: { sessionId, expiry } }),
    );
    expect(await reopen(domain)).toMatchObject({ reopened: true });
  });
});

describe("limits", () => {
  test("the append that reaches max_steps is stored whole and ends the session", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, limits: { maxSteps: 3 } } });
    await domain.append({ sessionId, events: [thinking("1"), userText("not a step")] });
    const events = [thinking("2"), thinking("3"), thinking("4")];
    const answer = await domain.append({ sessionId, events });
    expect(answer.state).toBe(SessionState.LIMIT_REACHED);
    expect(answer.events.map(({ step }) => step)).toEqual([2, 3, 4]);
    expect(answer.headRevision).toBe(7);
    expect(await domain.get(sessionId)).toMatchObject({
      state: SessionState.LIMIT_REACHED,
      end: { limit: "max_steps" },
    });
    expect(kindsOf(await domain.log(sessionId)).at(-1)).toBe("sessionEnded");
    await expect(domain.append(hello)).rejects.toThrow("LIMIT_REACHED");
  });

  test("max_tokens counts all tokens that are recorded", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, limits: { maxTokens: 10 } } });
    expect((await domain.append(hello)).state).toBe(SessionState.ACTIVE);
    expect((await domain.append(hello)).state).toBe(SessionState.LIMIT_REACHED);
    expect((await domain.get(sessionId)).end?.limit).toBe("max_tokens");
  });

  test("are not reached by an output: a run whose last step is its result can be completed", async () => {
    for (const limits of [{ maxSteps: 2 }, { maxTokens: 10 }]) {
      await using domain = await openTestDomain();
      await domain.create({ session: { sessionId, limits } });
      await domain.append({ sessionId, events: [thinking("thought")] });
      const events = [output("the result")];
      const answer = await domain.append({ sessionId, events });
      expect([answer.state, answer.events[0]?.step]).toEqual([SessionState.ACTIVE, 2]);
      await domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));
      expect((await domain.get(sessionId)).state).toBe(SessionState.COMPLETED);
    }
  });

  test("are reached by what comes behind an output, another output too", async () => {
    for (const next of [thinking("more"), output("again")]) {
      await using domain = await openTestDomain();
      await domain.create({ session: { sessionId, limits: { maxSteps: 1 } } });
      await domain.append({ sessionId, events: [output("done")] });
      expect((await domain.append(hello)).state).toBe(SessionState.ACTIVE);
      const answer = await domain.append({ sessionId, events: [next] });
      expect(answer.state).toBe(SessionState.LIMIT_REACHED);
    }
  });

  test("are reached by what comes with an output in one append", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, limits: { maxSteps: 2 } } });
    const events = [thinking("1"), thinking("2"), output("done")];
    expect((await domain.append({ sessionId, events })).state).toBe(SessionState.LIMIT_REACHED);
  });

  test("hold for a session that an append makes or starts", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, limits: { maxSteps: 1 } }, deferredStart: true });
    const answer = await domain.append({ sessionId, events: [thinking("1")] });
    expect(answer.events.map(({ revision }) => revision)).toEqual([2]);
    expect(kindsOf(await domain.log(sessionId))).toEqual([
      "sessionStarted",
      "thinking",
      "sessionEnded",
    ]);
  });

  test("go on where they were after a reopening, and can be raised", async () => {
    await using domain = await openTestDomain();
    await domain.create({ session: { sessionId, limits: { maxSteps: 1 } } });
    await domain.append({ sessionId, events: [thinking("1")] });
    const limits = { maxSteps: 3 };
    await domain.sessions.update(
      create(UpdateSessionRequestSchema, { session: { sessionId, limits } }),
    );
    await reopen(domain);
    expect((await domain.append(hello)).state).toBe(SessionState.ACTIVE);
    const next = (text: string) => domain.append({ sessionId, events: [thinking(text)] });
    expect((await next("2")).state).toBe(SessionState.ACTIVE);
    expect((await next("3")).state).toBe(SessionState.LIMIT_REACHED);
  });
});
