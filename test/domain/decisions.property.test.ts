import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  EventSchema,
  Role,
  SessionEndSchema,
  SessionExpirySchema,
  SessionLimitsSchema,
  SessionSchema,
  SessionState,
  TokenAccuracy,
  TokenCountSchema,
} from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { appendEvents, createSession, updateSession } from "../../src/domain/decisions.ts";
import { dueOf } from "../../src/domain/lifecycle/due.ts";
import { endSession } from "../../src/domain/lifecycle/end.ts";
import { asOf, lapse } from "../../src/domain/lifecycle/lapse.ts";
import { reopenSession } from "../../src/domain/lifecycle/reopen.ts";
import { hasEnded } from "../../src/domain/lifecycle/states.ts";
import type { EventDraft, Outcome } from "../../src/domain/record.ts";
import { SessionEndedError, SessionTtlPassedError } from "../../src/errors.ts";
import type { StoredSession } from "../../src/store/store.ts";
import { messageOf, ruleHints } from "../support/arbitraries.ts";

const uid = "01a1f8a6-a332-77ee-a91c-65a14f9b9d3c";
const startMs = Date.UTC(2030, 0, 1);

const draft: fc.Arbitrary<EventDraft> = fc
  .tuple(messageOf(EventSchema, ruleHints, { percent: 0 }), fc.nat(1_000))
  .map(([event, count]) => ({
    event,
    tokens: create(TokenCountSchema, { count, accuracy: TokenAccuracy.EXACT }),
  }));

/** What may happen to a session, with the time that passes before; a clock may be set back. */
const command = fc.record({
  passMs: fc.integer({ min: -5_000, max: 60_000 }),
  what: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ drafts: fc.array(draft, { minLength: 1, maxLength: 4 }) }),
    },
    { weight: 2, arbitrary: fc.record({ title: fc.string() }) },
    { weight: 1, arbitrary: fc.record({ end: fc.constantFrom(3, 4, 5) }) },
    { weight: 1, arbitrary: fc.record({ reopen: fc.string() }) },
  ),
});
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const time = maybe(fc.integer({ min: 1, max: 300_000 }).map(durationFromMs));

/** How long a session may live, in steps, tokens and time. */
const bounds = fc
  .record({
    maxSteps: fc.constantFrom(undefined, undefined, 1, 3, 8),
    maxTokens: fc.constantFrom(undefined, undefined, 1, 2_000),
    timeout: time,
    idleTtl: time,
    ttl: time,
    retention: time,
  })
  .map(({ maxSteps, maxTokens, timeout, idleTtl, ttl, retention }) => ({
    limits: create(SessionLimitsSchema, {
      ...(maxSteps && { maxSteps }),
      ...(maxTokens && { maxTokens }),
      ...(timeout && { timeout }),
    }),
    expiry: create(SessionExpirySchema, {
      ...(idleTtl && { idleTtl }),
      ...(ttl && { ttl }),
      ...(retention && { retention }),
    }),
  }));

interface Life {
  readonly log: readonly Event[];
  readonly states: readonly StoredSession[];
  readonly last: StoredSession;
}

/** Runs commands one after another, as the domain does. */
function live(
  commands: readonly Command[],
  deferredStart: boolean,
  bound: Pick<MessageInitShape<typeof SessionSchema>, "limits" | "expiry"> = {},
): Life {
  let nowMs = startMs;
  const fields = create(SessionSchema, { namespace: "default", sessionId: "demo", ...bound });
  const first = createSession(fields, { uid, nowMs, deferredStart });
  const log = [...first.events];
  const states = [first.after];
  for (const { passMs, what } of commands) {
    nowMs += passMs;
    const before = states.at(-1) ?? first.after;
    const outcome = apply(before, what, nowMs);
    if (outcome === undefined) continue;
    log.push(...outcome.events);
    states.push(outcome.after);
  }
  return { log, states, last: states.at(-1) ?? first.after };
}

function apply(before: StoredSession, what: Command["what"], nowMs: number): Outcome | undefined {
  if ("title" in what) return updateSession(before, { title: what.title }, nowMs);
  if ("end" in what) {
    return endSession(before, { state: what.end, end: create(SessionEndSchema) }, nowMs);
  }
  const isEnded = hasEnded(asOf(before, nowMs));
  if ("reopen" in what) {
    const ttl = before.session.expiry?.ttl;
    if (!isEnded || ttl === undefined || startMs + durationMs(ttl) > nowMs) {
      return reopenSession(before, what.reopen, nowMs);
    }
    expect(() => reopenSession(before, what.reopen, nowMs)).toThrow(SessionTtlPassedError);
    return undefined;
  }
  if (!isEnded) return appendEvents(before, what.drafts, nowMs);
  expect(() => appendEvents(before, what.drafts, nowMs)).toThrow(SessionEndedError);
  return undefined;
}

const lives = fc.tuple(fc.array(command, { maxLength: 12 }), fc.boolean(), maybe(bounds));

function always(law: (life: Life) => void): void {
  fc.assert(
    fc.property(lives, ([commands, deferred, bound]) => law(live(commands, deferred, bound))),
    { numRuns: 200 },
  );
}

describe("whatever happens to a session", () => {
  test("Ordered, Gapless: its events are numbered 1, 2, 3 and its head is at the last", () => {
    always(({ log, last }) => {
      expect(log.map(({ revision }) => revision)).toEqual(log.map((_, index) => index + 1));
      expect(last.head.revision).toBe(log.length);
    });
  });

  test("time never runs backwards in its log", () => {
    always(({ log, last }) => {
      const times = log.map(({ createTime }) => (createTime ? timestampMs(createTime) : 0));
      expect(times).toEqual([...times].sort((a, b) => a - b));
      if (times.length > 0) expect(last.head.lastActivityTime).toEqual(log.at(-1)?.createTime);
    });
  });

  test("a session that was started has session_started first and only there", () => {
    always(({ log, last }) => {
      const starts = log.filter(({ payload }) => payload.case === "sessionStarted");
      const isStarted = last.session.startTime !== undefined;
      expect(starts.map(({ revision }) => revision)).toEqual(isStarted ? [1] : []);
    });
  });

  test("turns begin with user messages and steps are counted without a hole", () => {
    always(({ log, last }) => {
      let userMessages = 0;
      let steps = 0;
      for (const { payload, role, turn, step } of log) {
        if (payload.case === "message" && role === Role.USER) userMessages++;
        expect(turn).toBe(Math.max(0, userMessages - 1));
        if (step !== 0) expect(step).toBe(++steps);
      }
      expect(last.head.metrics).toMatchObject({ turns: userMessages, steps });
    });
  });

  test("Accounted: its metrics equal a recount of its log", () => {
    always(({ log, last }) => {
      const count = (test: (event: Event) => boolean) => log.filter(test).length;
      const sum = (of: (event: Event) => number) => log.reduce((all, event) => all + of(event), 0);
      const { metrics } = last.head;
      expect(metrics).toMatchObject({
        events: log.length,
        messages: count(({ payload }) => payload.case === "message"),
        toolCalls: count(({ payload }) => payload.case === "toolCall"),
        errors: count(({ payload }) => payload.case === "error"),
        storedBytes: sum((event) => toBinary(EventSchema, event).length),
      });
      expect(metrics?.tokens).toMatchObject({
        total: sum(({ tokens }) => tokens?.count ?? 0),
        reportedInput: Math.min(
          0xffff_ffff,
          sum(({ usage }) => usage?.inputTokens ?? 0),
        ),
        reportedOutput: Math.min(
          0xffff_ffff,
          sum(({ usage }) => usage?.outputTokens ?? 0),
        ),
      });
      const { total = 0, input = 0, output = 0 } = metrics?.tokens ?? {};
      expect(input + output).toBeLessThanOrEqual(total);
      // What answers no call, and progress, is in no window.
      const isShown = ({ group, payload }: Event) =>
        group !== 0 && !(payload.case === "toolResult" && payload.value.isFinal === false);
      expect(last.head.windowTokens).toBe(
        sum((event) => (isShown(event) ? (event.tokens?.count ?? 0) : 0)),
      );
      const requests = log.flatMap(({ payload }) =>
        payload.case === "requestRecorded" ? [payload.value] : [],
      );
      expect(metrics?.requests?.count ?? 0).toBe(
        requests.filter(({ count = true }) => count).length,
      );
      expect(metrics?.requests?.errors ?? 0).toBe(
        requests.filter(({ error }) => error !== undefined).length,
      );
    });
  });

  test("every role is known once a payload says whose voice it is", () => {
    always(({ log }) => {
      for (const { payload, role } of log) {
        if (payload.case === "message" || payload.case === "toolCall") {
          expect(role).not.toBe(Role.UNSPECIFIED);
        }
      }
    });
  });

  test("what callers wrote is stored as they wrote it", () => {
    fc.assert(
      fc.property(fc.array(draft, { minLength: 1, maxLength: 5 }), (drafts) => {
        const { after } = createSession(create(SessionSchema), {
          uid,
          nowMs: startMs,
          deferredStart: false,
        });
        const { events } = appendEvents(after, drafts, startMs);
        for (const [index, { event }] of drafts.entries()) {
          const stored = events[index];
          expect(stored?.payload).toBe(event.payload);
          expect(stored?.metadata).toBe(event.metadata);
          expect(stored).toMatchObject({ kind: event.kind, author: event.author });
          if (event.role !== Role.UNSPECIFIED) expect(stored?.role).toBe(event.role);
        }
      }),
    );
  });

  test("a session that ended stays as it ended until it is reopened, but for the fields callers own", () => {
    always(({ states }) => {
      const end = states.findIndex(hasEnded);
      if (end === -1) return;
      const ended = states[end];
      const reopened = states.findIndex((state, index) => index > end && !hasEnded(state));
      for (const { session, head } of states.slice(end, reopened === -1 ? undefined : reopened)) {
        expect(head).toBe(ended?.head);
        expect(session).toMatchObject({ state: ended?.session.state });
        expect(session.endTime).toEqual(ended?.session.endTime);
      }
    });
  });

  test("its etag changes with the fields callers own and with its end, not with events", () => {
    always(({ states }) => {
      for (const [index, after] of states.entries()) {
        const before = states[index - 1];
        if (before === undefined) continue;
        const isAppend = before.head !== after.head && !hasEnded(after) && !hasEnded(before);
        const isReopened = after.session.reopenTime !== before.session.reopenTime;
        if (isReopened) continue;
        expect(after.session.etag === before.session.etag).toBe(isAppend);
      }
    });
  });

  test("decisions change nothing they were given", () => {
    fc.assert(
      fc.property(
        lives,
        fc.array(draft, { minLength: 1, maxLength: 3 }),
        ([past, deferred, bound], more) => {
          const { last } = live(past, deferred, bound);
          const copy = structuredClone({ last, more });
          if (!hasEnded(asOf(last, startMs))) appendEvents(last, more, startMs);
          lapse(last, startMs + 600_000);
          endSession(last, { state: SessionState.FAILED, end: create(SessionEndSchema) }, startMs);
          updateSession(last, { title: "other" }, startMs);
          if (last.session.expiry?.ttl === undefined) reopenSession(last, "why", startMs);
          expect({ last, more }).toEqual(copy);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("the end of a session", () => {
  test("is the last event of its log, or followed by its reopening", () => {
    always(({ log, last }) => {
      for (const [index, { payload }] of log.entries()) {
        const next = log[index + 1]?.payload.case;
        if (payload.case === "sessionEnded") expect([undefined, "sessionReopened"]).toContain(next);
        if (next === "sessionReopened") expect(payload.case).toBe("sessionEnded");
      }
      const newest = log.at(-1)?.payload;
      expect(hasEnded(last)).toBe(newest?.case === "sessionEnded");
      if (newest?.case === "sessionEnded") expect(newest.value.state).toBe(last.session.state);
    });
  });

  test("comes with the append that reaches a limit without its outputs, and says which one", () => {
    always(({ log, states }) => {
      for (const [index, after] of states.entries()) {
        if (index === 0 || after.session.state === SessionState.CANCELLED) continue;
        const added = log.slice(states[index - 1]?.head.revision, after.head.revision);
        const outputs = added.filter(({ payload }) => payload.case === "output");
        const { maxSteps = 0, maxTokens = 0 } = after.session.limits ?? {};
        const steps = (after.head.metrics?.steps ?? 0) - outputs.length;
        const tokens = (after.head.metrics?.tokens?.total ?? 0) - tokensOf(outputs);
        const hasSteps = added.some(({ step }) => step > 0);
        if (!hasSteps && tokensOf(added) === 0) continue;
        const reached =
          (maxSteps > 0 && hasSteps && steps >= maxSteps && "max_steps") ||
          (maxTokens > 0 && tokensOf(added) > 0 && tokens >= maxTokens && "max_tokens") ||
          "";
        expect(after.session.end?.limit ?? "").toBe(reached);
        expect(after.session.state === SessionState.LIMIT_REACHED).toBe(reached !== "");
      }
    });
  });

  test("by time is at the time it was due, whenever somebody looks", () => {
    fc.assert(
      fc.property(lives, fc.nat(600_000), fc.nat(600_000), ([past, deferred, bound], a, b) => {
        const { last } = live(past, deferred, bound);
        if (hasEnded(last)) return;
        const due = dueOf(last);
        const [sooner, later] = [startMs + Math.min(a, b), startMs + Math.max(a, b)];
        const [first, second] = [asOf(last, sooner).session, asOf(last, later).session];
        expect(first.endTime !== undefined).toBe(due !== undefined && due.atMs <= sooner);
        if (first.endTime === undefined) return;
        expect(timestampMs(first.endTime)).toBe(due?.atMs);
        expect(second).toEqual(first);
      }),
    );
  });

  test("by time leaves no event of a caller behind it", () => {
    always(({ log, last }) => {
      const { limits, expiry, createTime } = last.session;
      if (last.session.reopenTime !== undefined) return;
      const ttlMs = expiry?.ttl && startMs + durationMs(expiry.ttl);
      const started = log[0]?.createTime;
      const timeoutMs =
        limits?.timeout && started && timestampMs(started) + durationMs(limits.timeout);
      const latestMs = Math.min(
        ttlMs ?? Number.POSITIVE_INFINITY,
        timeoutMs ?? Number.POSITIVE_INFINITY,
      );
      expect(createTime).toBeDefined();
      for (const event of log) {
        const atMs = event.createTime ? timestampMs(event.createTime) : 0;
        expect(atMs).toBeLessThanOrEqual(latestMs);
        if (atMs === latestMs) {
          expect(["sessionStarted", "sessionEnded"]).toContain(event.payload.case);
        }
      }
    });
  });

  test("is found by the store in time: the stored time is never later than the due time", () => {
    always(({ states }) => {
      for (const stored of states) {
        const due = dueOf(stored);
        const { expireTime } = stored.session;
        expect(expireTime === undefined).toBe(due === undefined);
        if (expireTime && due) expect(timestampMs(expireTime)).toBeLessThanOrEqual(due.atMs);
      }
    });
  });

  test("by cancelling closes every call", () => {
    always(({ states }) => {
      for (const { session, head } of states) {
        if (session.state === SessionState.CANCELLED) expect(head.context?.openCalls).toEqual([]);
      }
    });
  });
});

test("sums of what providers report stop at the largest number their field carries", () => {
  const usage = { inputTokens: 0xffff_ffff, outputTokens: 1, cost: Number.MAX_VALUE };
  const event = create(EventSchema, { payload: { case: "message", value: {} }, usage });
  const fields = create(SessionSchema);
  const { after } = createSession(fields, { uid, nowMs: startMs, deferredStart: false });
  const outcome = appendEvents(after, [{ event }, { event }, { event }], startMs);
  expect(outcome.after.head.metrics?.tokens).toMatchObject({
    reportedInput: 0xffff_ffff,
    reportedOutput: 3,
    reportedCost: Number.MAX_VALUE,
  });
});

function tokensOf(events: readonly Event[]): number {
  return events.reduce((sum, { tokens }) => sum + (tokens?.count ?? 0), 0);
}
