import type { DescMethodUnary } from "@bufbuild/protobuf";
import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  EventService,
  IfExists,
  MetricsService,
  SessionSchema,
  SessionService,
  SessionState,
} from "@sessiond/contract";
import { describe, expect, test } from "vitest";
import {
  type Answer,
  type Door,
  doors,
  engines,
  openTestApp,
  type TestApp,
} from "../support/app.ts";
import { userText } from "../support/domain.ts";

const { createSession, getSession, cancelSession, reopenSession } = SessionService.method;
const { appendEvents, listSteps } = EventService.method;
const { recordRequest, getSessionMetrics } = MetricsService.method;
const sessionId = "demo";

/** Calls through one of the doors. */
function caller(app: TestApp, door: Door) {
  return <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<Answer<MessageShape<O>>> => app.call(door, method, create(method.input, request));
}

describe.each(engines)("on the %s store", (store) => {
  describe.each(doors)("over %s", (door) => {
    test("a run is counted, cancelled, reopened, and kept when another takes its name", async () => {
      let now = Date.UTC(2030, 0, 1);
      await using app = await openTestApp({ store, overrides: { clock: () => now } });
      const call = caller(app, door);
      const limits = { maxSteps: 10, timeout: durationFromMs(60_000) };
      await call(createSession, { session: { sessionId, limits } });
      const toolCall = { callId: "c1", name: "search", arguments: "{}" };
      await call(appendEvents, {
        sessionId,
        events: [userText("go"), { payload: { case: "toolCall", value: toolCall } }],
      });
      const processingTime = durationFromMs(120);
      expect(await call(recordRequest, { sessionId, processingTime })).toMatchObject({
        value: { revision: 4, requests: { count: 1, averageProcessingTime: processingTime } },
      });

      const cancelled = await call(cancelSession, { sessionId, reason: "enough" });
      expect(cancelled).toMatchObject({
        value: { cancelled: true, session: { state: SessionState.CANCELLED } },
      });
      expect(await call(appendEvents, { sessionId, events: [userText("late")] })).toMatchObject({
        reason: "SESSION_ENDED",
        metadata: { state: "CANCELLED" },
      });
      expect(await call(listSteps, { sessionId })).toMatchObject({
        value: { steps: [{ name: "search" }, { name: "search", revisions: [3, 5] }] },
      });

      expect(await call(reopenSession, { sessionId })).toMatchObject({ value: { reopened: true } });
      now += 60_000;
      expect(await call(getSession, { sessionId })).toMatchObject({
        value: { session: { state: SessionState.TIMED_OUT, endTime: timestampFromMs(now) } },
      });
      const fresh = await call(createSession, { session: { sessionId }, ifExists: IfExists.RENEW });
      expect(fresh).toMatchObject({ value: { created: true, session: { headRevision: 1 } } });
      expect(await call(getSessionMetrics, { sessionId: `${sessionId}~1` })).toMatchObject({
        value: { metrics: { toolCalls: 1, requests: { count: 1 } } },
      });
    });
  });
});

describe.each(doors)("over %s", (door) => {
  test("namespaces are held to their quotas, and agents' sessions have what the file says", async () => {
    const quota = { activeSessions: 1, whenFull: "refuse", minIdleMs: 0 } as const;
    const config = {
      namespaces: { "*": { protectionRules: [], quota } },
      agents: { researcher: create(SessionSchema, { preset: "execution", model: "gpt-5" }) },
    };
    await using app = await openTestApp({ config });
    const call = caller(app, door);
    const first = await call(createSession, { session: { sessionId, agentId: "researcher" } });
    expect(first).toMatchObject({
      value: { session: { model: "gpt-5", limits: { maxSteps: 10 } } },
    });
    expect(await call(createSession, { session: {} })).toMatchObject({
      code: "ResourceExhausted",
      reason: "SESSION_QUOTA_EXCEEDED",
      message: expect.stringContaining("maximum session limit reached"),
      metadata: { namespace: "default", active_sessions: "1", limit_sessions: "1" },
    });
    const elsewhere = await call(createSession, { session: { namespace: "other" } });
    expect(elsewhere).toMatchObject({ value: { created: true } });
  });
});

test("Durable: a restart finds sessions as time and callers have left them", async () => {
  let now = Date.UTC(2030, 0, 1);
  await using app = await openTestApp({ store: "lmdb", overrides: { clock: () => now } });
  const session = { sessionId, limits: { timeout: durationFromMs(1_000) } };
  await app.clients.sessions.createSession({ session });
  await app.clients.sessions.cancelSession({ sessionId, reason: "first" });
  await app.clients.sessions.createSession({ session, ifExists: IfExists.RENEW });
  now += 3_600_000;
  await app.restart();
  const kept = await app.clients.sessions.getSession({ sessionId: `${sessionId}~1` });
  expect(kept.session?.end?.reason).toBe("first");
  const timedOut = await app.clients.sessions.getSession({ sessionId });
  expect(timedOut.session).toMatchObject({
    state: SessionState.TIMED_OUT,
    endTime: timestampFromMs(now - 3_600_000 + 1_000),
  });
});
